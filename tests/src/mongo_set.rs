//! A replica set of several members.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use crate::mongo::{Mongod, MongodSetup};

/// A replica set on 127.0.0.1: the first member is the primary and stays it, the others have its documents and no vote.
#[derive(Debug)]
pub struct MongodSet {
    members: Vec<Mongod>,
}

impl MongodSet {
    /// Starts a set of so many members; it is one when this returns. `None` as with [`Mongod::start`].
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start(members: usize) -> Option<Self> {
        let setup = MongodSetup { replica_set: true, ..MongodSetup::default() };
        let mut started = Vec::new();
        for _ in 0..members {
            started.push(Mongod::launch(&setup)?);
        }
        let set = Self { members: started };
        let member = |(id, member): (i32, &Mongod)| match id {
            0 => doc! { "_id": id, "host": member.host() },
            _ => doc! { "_id": id, "host": member.host(), "priority": 0, "votes": 0 },
        };
        let config: Vec<Document> = (0..).zip(&set.members).map(member).collect();
        let initiate = doc! { "replSetInitiate": { "_id": "rs0", "members": config } };
        set.primary().client().database("admin").run_command(initiate).await.expect("initiated");
        for (id, member) in set.members.iter().enumerate() {
            let role = if id == 0 { "isWritablePrimary" } else { "secondary" };
            let admin = member.client().database("admin");
            while !admin.run_command(doc! { "hello": 1 }).await.expect("it answers").get_bool(role).unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Some(set)
    }

    /// The member that is written to.
    pub fn primary(&self) -> &Mongod {
        self.members.first().expect("a member")
    }

    /// The others.
    pub fn secondaries(&self) -> &[Mongod] {
        self.members.get(1..).unwrap_or_default()
    }

    /// `rs0/HOST:PORT,…`: all members.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.members.iter().map(Mongod::host).collect();
        format!("rs0/{}", hosts.join(","))
    }
}
