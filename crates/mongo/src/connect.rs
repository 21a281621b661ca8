//! A connection: which deployment answers, of which version, and what it is.

use backup_core::{Doing, Error, Kind, Result};
use bson::{Document, doc};
use mongodb::Client;
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, ServerAddress};

use crate::catalog::{described, uuid};
use crate::config::Config;
use crate::mongo_error::mongo_error;

/// A deployment that answers.
#[derive(Debug, Clone)]
pub struct Server {
    /// The driver.
    pub client: Client,
    /// What tells the deployment from every other: the UUID that the collection `admin.system.version` got when the deployment was
    /// made, which all members of a replica set share and which stays through restarts. For a user who may not see it, the name
    /// of the replica set, else host and port.
    pub identity: String,
    /// The version of the server.
    pub version: String,
    /// What it is.
    pub shape: Shape,
}

/// What a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// One mongod of its own. It has no oplog.
    Standalone,
    /// A member of the replica set of this name.
    ReplicaSet(String),
    /// A router of a sharded cluster.
    Router,
}

/// Code of the server for who lacks a right.
const UNAUTHORIZED: i32 = 13;

/// Connects, logs in, and asks who answers. Of a replica set one member is spoken to from there on: the primary, or a secondary
/// where [`Config::secondary`] says so; all that is read comes from the same one.
///
/// # Errors
/// One line that names the server, without user and password.
pub async fn connect(config: &Config) -> Result<Server> {
    let connected = Box::pin(try_connect(config)).await;
    connected.doing(|| format!("connect to the MongoDB server {}", config.place()))
}

async fn try_connect(config: &Config) -> Result<Server> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The driver takes the provider of the process. Another thread may have been first, with the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut options = config.options().await?;
    if config.secondary {
        options.selection_criteria = Some(prefer(ReadPreference::SecondaryPreferred { options: None }));
    }
    let client = client(options.clone())?;
    let hello = hello(&client, &options).await?;
    let set = hello.get_str("setName").ok();
    let shape = match set {
        Some(set) => Shape::ReplicaSet(set.to_owned()),
        None if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") => Shape::Router,
        None => Shape::Standalone,
    };
    let client = match hello.get_str("me") {
        Ok(member) if set.is_some() && options.direct_connection != Some(true) => direct(options.clone(), member)?,
        _ => client,
    };
    let build = ask(&client, doc! { "buildInfo": 1 }, "ask for the version", &options).await?;
    let version = build.get_str("version").map_err(|_| Error::damaged("the server has no version"))?.to_owned();
    let fallback = set.map_or_else(|| format!("server {}", config.place()), |set| format!("set {set}"));
    let identity = identity(&client).await?.unwrap_or(fallback);
    Ok(Server { client, identity, version, shape })
}

fn client(options: ClientOptions) -> Result<Client> {
    Client::with_options(options).map_err(|error| mongo_error("set the connection up", &error))
}

/// One member of a set, alone.
fn direct(mut options: ClientOptions, member: &str) -> Result<Client> {
    let address = ServerAddress::parse(member).map_err(|error| mongo_error("understand the name of the member", &error))?;
    (options.hosts, options.direct_connection, options.repl_set_name) = (vec![address], Some(true), None);
    options.srv_max_hosts = None;
    client(options)
}

fn prefer(preference: ReadPreference) -> SelectionCriteria {
    SelectionCriteria::ReadPreference(preference)
}

/// What the member says that is spoken to from here on.
async fn hello(client: &Client, options: &ClientOptions) -> Result<Document> {
    let asked = async |options: &ClientOptions| ask(client, doc! { "hello": 1 }, "ask who answers", options).await;
    let hello = asked(options).await?;
    let Some(SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: which })) =
        &options.selection_criteria
    else {
        return Ok(hello);
    };
    let members = ["hosts", "passives"].map(|field| hello.get_array(field).map_or(0, Vec::len));
    let is_primary = hello.get_bool("isWritablePrimary").unwrap_or_default();
    if !is_primary || members.iter().sum::<usize>() < 2 || options.direct_connection == Some(true) {
        return Ok(hello);
    }
    // The first to answer was the primary, as long as the driver did not know of another: the others get their time.
    let mut secondary = options.clone();
    secondary.selection_criteria = Some(prefer(ReadPreference::Secondary { options: which.clone() }));
    Ok(asked(&secondary).await.unwrap_or(hello))
}

async fn ask(client: &Client, command: Document, doing: &str, options: &ClientOptions) -> Result<Document> {
    let admin = client.database("admin");
    let mut asking = admin.run_command(command);
    if let Some(criteria) = &options.selection_criteria {
        asking = asking.selection_criteria(criteria.clone());
    }
    asking.await.map_err(|error| mongo_error(doing, &error))
}

async fn identity(client: &Client) -> Result<Option<String>> {
    match described(&client.database("admin"), "system.version").await {
        Ok(version) => Ok(version.and_then(|version| uuid(&version))),
        Err(error) if refused(&error) => Ok(None),
        Err(error) => Err(error).doing(|| "ask for the deployment's identity"),
    }
}

/// Whether the user lacks a right.
pub(crate) fn refused(error: &Error) -> bool {
    error.kind() == Kind::Failed && error.chain().contains(&format!("[{UNAUTHORIZED} "))
}
