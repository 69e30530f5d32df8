//! What other servers had when they were last listed.

use crate::{
    StoreError,
    database::{Shared, Sql, values},
    times::millis,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use toolcrib_contract::{Json, Listings};

/// For how long lists are kept that nobody has renewed.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// The lists of servers.
pub struct ServerLists(Arc<Shared>);

impl ServerLists {
    pub(crate) fn open(database: Arc<Shared>) -> Result<Arc<Self>, StoreError> {
        let oldest = millis(SystemTime::now()).saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
        database.execute("DELETE FROM listing WHERE updated_ms < $1", &values![oldest])?;
        Ok(Arc::new(Self(database)))
    }

    fn select(&self, server: &str, defined_as: &str) -> Result<Option<String>, StoreError> {
        let query = "SELECT lists FROM listing WHERE server = $1 AND defined_as = $2";
        let ask = |it: &mut dyn Sql| it.first(query, &values![server, defined_as])?.map(|row| row.text(0).map(str::to_owned)).transpose();
        self.0.with(|database| database.read(ask))
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
        let insert = "INSERT INTO listing (server, defined_as, lists, updated_ms) VALUES ($1, $2, $3, $4)
            ON CONFLICT (server, defined_as) DO UPDATE SET lists = excluded.lists, updated_ms = excluded.updated_ms";
        let values = values![server, defined_as, lists.to_string(), millis(SystemTime::now())];
        if let Err(error) = self.0.execute(insert, &values) {
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
        assert_eq!(lists.0.execute("UPDATE listing SET updated_ms = 1 WHERE defined_as = 'as before'", &[]).unwrap(), 1);
        let lists = crate::Store::open(&folder).unwrap().listings().unwrap();
        assert_eq!(lists.last("wiki", "as before"), None);
        assert_eq!(lists.last("wiki", "otherwise"), Some(next));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
