//! What other servers had when they were last listed.

use crate::{
    StoreError,
    database::{Database, Shared},
    times::millis,
};
use rusqlite::{OptionalExtension, params};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use toolcrib_contract::{Json, Listings};

/// For how long lists are kept that nobody has renewed.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// The lists of servers.
pub struct ServerLists(Shared);

impl ServerLists {
    pub(crate) fn open(database: Database) -> Result<Arc<Self>, StoreError> {
        let oldest = millis(SystemTime::now()).saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
        let lists = Self(Shared::new(database));
        lists.0.with(|database| database.connection.execute("DELETE FROM listing WHERE updated_ms < ?1", [oldest]))?;
        Ok(Arc::new(lists))
    }

    fn select(&self, server: &str, defined_as: &str) -> Result<Option<String>, StoreError> {
        let query = "SELECT lists FROM listing WHERE server = ?1 AND defined_as = ?2";
        self.0.with(|database| database.connection.query_row(query, params![server, defined_as], |row| row.get(0)).optional())
    }
}

impl Listings for ServerLists {
    fn last(&self, server: &str, defined_as: &str) -> Option<Json> {
        match self.select(server, defined_as) {
            Ok(lists) => Json::parse(lists?).ok(),
            Err(error) => {
                tracing::warn!(server, %error, "what the server had when it was last listed cannot be read; it is started to be listed");
                None
            }
        }
    }

    fn keep(&self, server: &str, defined_as: &str, lists: &Json) {
        let insert = "INSERT OR REPLACE INTO listing (server, defined_as, lists, updated_ms) VALUES (?1, ?2, ?3, ?4)";
        let values = params![server, defined_as, lists.to_string(), millis(SystemTime::now())];
        if let Err(error) = self.0.with(|database| database.connection.execute(insert, values)) {
            tracing::warn!(server, %error, "what the server has cannot be kept; it is started to be listed the next time");
        }
    }
}

impl fmt::Debug for ServerLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerLists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_those_of_a_server_as_it_is_defined_now() {
        let folder = std::env::temp_dir().join(format!("toolcrib-lists-{}", std::process::id()));
        let lists = crate::Store::open(&folder).unwrap().listings().unwrap();
        let json = Json::parse(r#"{"tools":[{"name":"a","x":1.50}]}"#).unwrap();
        lists.keep("wiki", "as before", &json);
        assert_eq!(lists.last("wiki", "as before").unwrap().as_bytes(), json.as_bytes());
        assert_eq!(lists.last("wiki", "otherwise"), None);
        assert_eq!(lists.last("other", "as before"), None);
        let next = Json::parse(r#"{"tools":[]}"#).unwrap();
        lists.keep("wiki", "otherwise", &next);
        assert_eq!(lists.last("wiki", "otherwise"), Some(next.clone()));
        assert_eq!(lists.last("wiki", "as before"), Some(json), "another project's server of that name");
        // What nobody has renewed for a long time goes.
        let old =
            lists.0.with(|database| database.connection.execute("UPDATE listing SET updated_ms = 1 WHERE defined_as = 'as before'", []));
        assert_eq!(old.unwrap(), 1);
        let lists = crate::Store::open(&folder).unwrap().listings().unwrap();
        assert_eq!(lists.last("wiki", "as before"), None);
        assert_eq!(lists.last("wiki", "otherwise"), Some(next));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
