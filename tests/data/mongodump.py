"""mongodump's layout read and written by PyMongo: a stand-in for MongoDB's own tools.

mongodump.py restore FOLDER PORT: brings a folder of one database into a server, as mongorestore does.
mongodump.py dump FOLDER PORT DATABASE: writes a database into a folder, as mongodump does.
"""

import base64
import hashlib
import sys
from pathlib import Path
from urllib.parse import quote_plus

from bson import decode_file_iter, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

RAW = CodecOptions(document_class=RawBSONDocument)
BUCKETS = "system.buckets."


def stem(collection):
    """The name of a collection's files without their ends."""
    stem = quote_plus(collection)
    if len(stem) > 238:
        digest = base64.urlsafe_b64encode(hashlib.sha1(collection.encode()).digest())
        stem = stem[:208] + "%24" + digest.decode().rstrip("=")
    return stem


def restore(folder, client):
    database = client[folder.name]
    texts = [path.read_text() for path in folder.glob("*.metadata.json")]
    kinds = [json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS) for text in texts]
    # A view is made when what it shows is there.
    for metadata in sorted(kinds, key=lambda metadata: metadata["type"] == "view"):
        name = metadata["collectionName"]
        options = metadata.get("options", {})
        database.command({"create": name, **options})
        source = BUCKETS + name if metadata["type"] == "timeseries" else name
        documents = []
        if metadata["type"] != "view":
            with open(folder / (stem(source) + ".bson"), "rb") as file:
                documents = list(decode_file_iter(file, RAW))
        if documents:
            database.get_collection(source, codec_options=RAW).insert_many(documents, bypass_document_validation=True)
        indexes = [index for index in metadata["indexes"] if index["name"] != "_id_" and not index.get("clustered")]
        if indexes:
            database.command({"createIndexes": name, "indexes": indexes})


def dump(folder, client, name):
    database = client.get_database(name, codec_options=RAW)
    folder = folder / name
    folder.mkdir(parents=True)
    for listed in client[name].list_collections():
        collection, kind = listed["name"], listed["type"]
        if collection.startswith("system."):
            continue
        metadata = {"indexes": [], "collectionName": collection, "type": kind}
        if listed["options"]:
            metadata = {"options": listed["options"], **metadata}
        if kind != "view":
            indexes = client[name].command({"listIndexes": collection})
            metadata["indexes"] = indexes["cursor"]["firstBatch"]
        if "uuid" in listed["info"]:
            metadata["uuid"] = listed["info"]["uuid"].hex()
        text = json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS)
        (folder / (stem(collection) + ".metadata.json")).write_text(text)
        if kind != "view":
            source = BUCKETS + collection if kind == "timeseries" else collection
            with open(folder / (stem(source) + ".bson"), "wb") as file:
                for document in database[source].find(hint={"$natural": 1}):
                    file.write(document.raw)


client = MongoClient("127.0.0.1", int(sys.argv[3]), directConnection=True, document_class=dict)
if sys.argv[1] == "restore":
    restore(Path(sys.argv[2]), client)
else:
    dump(Path(sys.argv[2]), client, sys.argv[4])
