//! Names that no statement may call or read, wherever in it they stand.

use super::Grammar;
use crate::database::mask::Mask;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// How many queries may be named by WITH: some servers take twice as long for each one within another.
const MAX_NAMED_QUERIES: usize = 16;
/// The longest name that PostgreSQL does not cut.
const POSTGRES_NAME_BYTES: usize = 63;

/// Functions that reach outside of the database, run SQL out of a text, hold locks, change settings, or only burn time. A
/// final `*` stands for any ending.
const POSTGRES_FUNCTIONS: &[&str] = &[
    "pg_read_*",
    "pg_ls_*",
    "pg_stat_file",
    "pg_file_*",
    "pg_logdir_ls",
    "pg_write_*",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek*",
    "lo_open",
    "lo_put",
    "lo_tell*",
    "lo_truncate*",
    "lo_unlink",
    "loread",
    "lowrite",
    "pg_sleep*",
    "dblink*",
    "pg_advisory_*",
    "pg_try_advisory_*",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile*",
    "pg_switch_*",
    "pg_create_*",
    "pg_drop_*",
    "pg_logical_*",
    "pg_replication_*",
    "pg_copy_*",
    "pg_sync_*",
    "pg_backup_*",
    "pg_start_*",
    "pg_stop_*",
    "pg_promote",
    "pg_wal_replay_*",
    "pg_stat_reset*",
    "pg_stat_statements_reset",
    "pg_stat_clear_*",
    "pg_stat_force_*",
    "pg_notify",
    "pg_import_*",
    "pg_export_snapshot",
    "pg_log_*",
    "pg_current_logfile",
    "pg_hba_*",
    "pg_ident_*",
    "pg_show_all_file_settings",
    "set_config",
    "setval",
    "nextval",
    "query_to_xml*",
    "table_to_xml*",
    "schema_to_xml*",
    "database_to_xml*",
    "cursor_to_xml*",
    "ts_stat",
    "ts_rewrite",
    "crosstab*",
    "connectby*",
    "xpath*",
    "xslt*",
    "setseed",
    "xslt_process",
    "xml_is_well_formed_file",
    "pg_prewarm",
    "autoprewarm_*",
    "pgstat*",
    "pg_execute_*",
    "brin_summarize_*",
    "brin_desummarize_*",
    "gin_clean_*",
    "pg_extension_config_dump",
    "currtid*",
    "binary_upgrade_*",
    "pg_nextoid",
    "pg_stat_get_backend_*",
    "pg_get_wal_*",
    "pg_walfile_*",
    "txid_current",
    "pg_current_xact_id",
    "http*",
    "plpy*",
    "plperl*",
    "amcheck*",
    "bt_index_*",
    "heap_page_*",
    "get_raw_page*",
    "page_*",
    "pg_truncate_*",
    "pg_visibility*",
    "pg_buffercache_evict*",
    "pg_reset_*",
    "pg_clear_*",
    "pg_restore_*",
    "pg_set_*",
    "pg_config",
    "pg_background_*",
    "heap_force_*",
    "utl_file*",
    "dbms_*",
    "aws_*",
];
const POSTGRES_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_shadow",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_largeobject",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_file_settings",
    "pg_subscription",
    "pg_statistic",
    "pg_foreign_server",
    "pg_backend_memory_contexts",
];
/// What servers remember of the values of columns, or keep apart from their tables: denied where some are masked.
const COPIES_OF_VALUES: &[&str] = &[
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_statistic_ext_data",
    "pg_toast*",
    "column_statistics",
    "performance_schema",
    "processlist",
    "innodb_trx",
    "innodb_locks",
    "innodb_ft_*",
    "pg_stat_activity",
    "pg_stat_get_activity",
    "pg_stat_statements",
];
/// Patterns of functions that are common words, too: after a dot they name columns.
const COMMON_WORDS: &[&str] = &["http*", "page_*", "plpy*", "plperl*", "amcheck*", "get_raw_page*", "connectby*", "crosstab*"];
const MYSQL_FUNCTIONS: &[&str] = &[
    "load_file",
    "sleep",
    "benchmark",
    "get_lock",
    "release_lock",
    "release_all_locks",
    "master_pos_wait",
    "source_pos_wait",
    "master_gtid_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "nextval",
    "setval",
    "sys_exec",
    "sys_eval",
    "sys_get",
    "sys_set",
    "lib_mysqludf_*",
    "des_encrypt",
    "des_decrypt",
    "name_const",
    "extractvalue",
    "updatexml",
    "service_*",
    "asynchronous_connection_*",
    "group_replication_*",
    "keyring_*",
    "audit_log_*",
    "mysql_firewall_*",
    "version_tokens_*",
    "ps_*",
    "spider_*",
    "mroonga_*",
];
const MYSQL_RELATIONS: &[&str] = &["mysql", "global_priv", "innodb_table_stats", "user_password_history"];

/// Lets names pass, or says which does not.
pub(super) fn judge(tokens: &[TokenWithSpan], grammar: Grammar, mask: &Mask) -> Result<(), String> {
    let (functions, relations) = match grammar {
        Grammar::Postgres => (POSTGRES_FUNCTIONS, POSTGRES_RELATIONS),
        Grammar::Mysql => (MYSQL_FUNCTIONS, MYSQL_RELATIONS),
    };
    let at = |index: Option<usize>| index.and_then(|index| tokens.get(index)).map(|token| &token.token);
    let mut named_queries = 0;
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        let name = word.value.to_lowercase();
        let (before, next) = (at(index.checked_sub(1)), at(Some(index + 1)));
        // In PostgreSQL, `x.f` can be `f(x)`.
        let may_be_called = |pattern: &&&str| {
            let is_attribute = grammar == Grammar::Postgres && before == Some(&Token::Period) && !COMMON_WORDS.contains(pattern);
            next == Some(&Token::LParen) || is_attribute
        };
        if functions.iter().filter(|pattern| fits(pattern, &name)).any(|pattern| may_be_called(&pattern)) {
            return Err(format!("the function {name} is not allowed"));
        }
        // A schema is named before its dot, a relation anywhere.
        let is_copy = !mask.is_empty() && COPIES_OF_VALUES.iter().any(|pattern| fits(pattern, &name));
        let is_relation = relations.contains(&name.as_str()) && (name != "mysql" || next == Some(&Token::Period));
        if is_relation || is_copy {
            return Err(format!("the relation {name} is not allowed"));
        }
        if !mask.is_empty() {
            refuse_disguise(word, grammar)?;
        }
        named_queries += usize::from(word.quote_style.is_none() && name == "with");
        if named_queries > MAX_NAMED_QUERIES {
            return Err(format!("more than {MAX_NAMED_QUERIES} WITH"));
        }
        if grammar == Grammar::Postgres && word.quote_style.is_none() && name == "u" && next == Some(&Token::Ampersand) {
            return Err("texts and names with U& escapes are not allowed".into());
        }
    }
    refuse_grants_of_others(tokens)
}

/// Names that a server could take for others than we do, where some are masked: MySQL folds letters such as `İ` to ASCII,
/// PostgreSQL cuts long names.
fn refuse_disguise(word: &Word, grammar: Grammar) -> Result<(), String> {
    let (name, quote) = (&word.value, word.quote_style);
    let is_disguise = quote.is_some_and(|quote| name.contains(quote))
        || match grammar {
            Grammar::Postgres => name.len() > POSTGRES_NAME_BYTES,
            Grammar::Mysql => !name.is_ascii(),
        };
    if is_disguise {
        Err(format!("with masked columns, the name {word} is not allowed: it can be read in more than one way"))
    } else {
        Ok(())
    }
}

/// SHOW GRANTS tells password hashes, too, where it is asked about others.
fn refuse_grants_of_others(tokens: &[TokenWithSpan]) -> Result<(), String> {
    let words: Vec<String> = tokens.iter().take(4).map(|token| token.token.to_string().to_lowercase()).collect();
    let is_of_others = words.len() == 4 && words[..3] == ["show", "grants", "for"] && words[3] != "current_user";
    if is_of_others { Err("SHOW GRANTS is for the login itself".into()) } else { Ok(()) }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
