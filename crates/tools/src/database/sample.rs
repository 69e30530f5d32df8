//! The database that is there without a config: a small shop, so that a first question finds an answer.
//!
//! It is made on the day of its first use, with dates that end today, and made anew on a later day. The rest is the same
//! for everybody.

use fastrand::Rng;
use rusqlite::{Connection, params};
use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the model reads of it.
pub(super) const DESCRIPTION: &str = "a sample shop: users (with registered_at), products, orders, order_items, reviews";

/// "TCRB": the mark of a file that we made and may make anew.
const APPLICATION_ID: i32 = 0x5443_5242;
const USERS: u32 = 1200;
const PRODUCTS: u32 = 60;
const ORDERS: u32 = 3000;
const REVIEWS: u32 = 900;
/// Users of the running month, whatever day it is.
const USERS_THIS_MONTH: u32 = 40;

const SCHEMA: &str = "
CREATE TABLE users (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, country TEXT NOT NULL,
  plan TEXT NOT NULL CHECK (plan IN ('free', 'plus', 'business')), registered_at TEXT NOT NULL, last_seen_at TEXT
);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT NOT NULL, price REAL NOT NULL, in_stock INTEGER NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id),
  status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'shipped', 'returned')), total REAL NOT NULL DEFAULT 0, ordered_at TEXT NOT NULL
);
CREATE TABLE order_items (
  order_id INTEGER NOT NULL REFERENCES orders (id), product_id INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL, unit_price REAL NOT NULL, PRIMARY KEY (order_id, product_id)
);
CREATE TABLE reviews (
  id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES products (id), user_id INTEGER NOT NULL REFERENCES users (id),
  stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5), text TEXT, written_at TEXT NOT NULL
);
CREATE INDEX users_registered_at ON users (registered_at);
CREATE INDEX orders_user_id ON orders (user_id);
CREATE INDEX orders_ordered_at ON orders (ordered_at);
";

const FIRST_NAMES: &[&str] = &[
    "Ada", "Amir", "Ana", "Aroha", "Ben", "Chidi", "Clara", "Dmitri", "Elif", "Emma", "Farah", "Felix", "Grace", "Hana", "Hugo", "Ines",
    "Ivan", "Jonas", "Kenji", "Lea", "Lucia", "Mateo", "Mei", "Mia", "Nadia", "Noah", "Olga", "Omar", "Paula", "Priya", "Rafael", "Ravi",
    "Sara", "Sofia", "Tariq", "Theo", "Uma", "Vera", "Wei", "Yusuf",
];
const LAST_NAMES: &[&str] = &[
    "Adeyemi", "Andersen", "Bauer", "Costa", "Dubois", "Eriksson", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya", "Kovacs",
    "Lopez", "Meyer", "Moreau", "Nakamura", "Novak", "Okafor", "Patel", "Quispe", "Rossi", "Sato", "Schmidt", "Silva", "Singh", "Tanaka",
    "Varga", "Walker", "Zhang",
];
const COUNTRIES: &[&str] = &["DE", "FR", "GB", "US", "ES", "IT", "NL", "SE", "PL", "JP", "IN", "BR", "NG", "NZ"];
const GOODS: &[(&str, &[&str])] = &[
    ("kitchen", &["kettle", "pan", "knife", "cutting board", "mug", "teapot", "colander", "whisk", "scale", "grater", "tray", "jug"]),
    ("office", &["lamp", "notebook", "desk", "chair", "pen set", "shelf", "clock", "stapler", "pinboard", "folder", "mat", "organizer"]),
    (
        "outdoor",
        &["tent", "backpack", "lantern", "bottle", "hammock", "stove", "rope", "compass", "blanket", "boots", "poncho", "mattress"],
    ),
    ("toys", &["puzzle", "kite", "train", "blocks", "robot", "ball", "yo-yo", "doll house", "marbles", "board game", "drum", "car"]),
    (
        "books",
        &["atlas", "cookbook", "novel", "dictionary", "diary", "comic", "guide", "biography", "anthology", "primer", "almanac", "reader"],
    ),
];
const OPINIONS: &[(i64, &str)] = &[
    (5, "Better than expected, would buy again."),
    (5, "Great quality and quick delivery."),
    (4, "Good, though the colour differs from the picture."),
    (4, "Does what it should."),
    (3, "Fine for the price."),
    (2, "Broke after a month."),
    (1, "Arrived damaged, and nobody answered."),
];

/// Sees to it that the file is there and of today.
pub(super) fn ensure(file: &Path) -> io::Result<()> {
    let today = days_since_1970();
    if is_of(file, today) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Whoever reads the old file keeps it; whoever makes one at the same time makes the same.
    let fresh = folder.join(format!(".sample-{}-{:016x}.sqlite", std::process::id(), fastrand::u64(..)));
    let made = make(&fresh, today).map_err(io::Error::other).and_then(|()| fs::rename(&fresh, file));
    if made.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    made
}

fn days_since_1970() -> i32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i32::try_from(seconds / 86_400).unwrap_or(i32::MAX)
}

/// Whether the file was made by us on this day. Anything else in its place is an error when it is opened, not a reason to
/// overwrite it.
fn is_of(file: &Path, day: i32) -> bool {
    let Ok(connection) = Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else { return false };
    let read = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i32>(0));
    match (read("application_id"), read("user_version")) {
        (Ok(APPLICATION_ID), Ok(made_on)) => made_on == day,
        _ => file.exists(),
    }
}

fn make(file: &Path, day: i32) -> rusqlite::Result<()> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(SCHEMA)?;
    let made = connection.transaction()?;
    let mut rng = Rng::with_seed(7);
    fill_users(&made, &mut rng)?;
    fill_products(&made, &mut rng)?;
    fill_orders(&made, &mut rng)?;
    fill_reviews(&made, &mut rng)?;
    made.commit()?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", day)?;
    connection.execute_batch("ANALYZE")
}

fn fill_users(connection: &Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    // Times are parts of the last two years, or of the running month.
    let mut insert = connection.prepare(
        "INSERT INTO users SELECT ?1, ?2, ?3, ?4, ?5, at, datetime(at, (?8 * (julianday('now') - julianday(at))) || ' days') FROM (SELECT \
         datetime(start, (?7 * (julianday('now') - julianday(start))) || ' days') AS at FROM (SELECT CASE ?6 WHEN 1 THEN \
         datetime('now', 'start of month') ELSE datetime('now', 'start of month', '-24 months') END AS start))",
    )?;
    for id in 1..=USERS {
        let (first, last) = (pick(rng, FIRST_NAMES), pick(rng, LAST_NAMES));
        let email = format!("{}.{}{id}@example.com", first.to_lowercase(), last.to_lowercase());
        let plan = ["free", "free", "free", "plus", "plus", "business"][rng.usize(..6)];
        let is_of_this_month = id > USERS - USERS_THIS_MONTH;
        // More join as time goes on.
        let part = if is_of_this_month { rng.f64() } else { rng.f64().sqrt() * 0.97 };
        insert.execute(params![id, format!("{first} {last}"), email, pick(rng, COUNTRIES), plan, is_of_this_month, part, rng.f64()])?;
    }
    Ok(())
}

fn fill_products(connection: &Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    const MAKES: &[&str] = &["Alder", "Birch", "Cedar", "Dune", "Ember"];
    let mut insert = connection.prepare("INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for id in 1..=PRODUCTS {
        let index = id as usize - 1;
        let (category, goods) = GOODS[index % GOODS.len()];
        let name = format!("{} {}", MAKES[index % 7 % MAKES.len()], goods[index / GOODS.len()]);
        insert.execute(params![id, name, category, f64::from(rng.u32(399..=19_999)) / 100.0, rng.u32(0..400)])?;
    }
    Ok(())
}

fn fill_orders(connection: &Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    let mut order = connection.prepare(
        "INSERT INTO orders SELECT ?1, id, ?3, 0, datetime(registered_at, (?4 * (julianday('now') - julianday(registered_at))) || ' days') \
         FROM users WHERE id = ?2",
    )?;
    let mut item = connection.prepare("INSERT OR IGNORE INTO order_items SELECT ?1, id, ?3, price FROM products WHERE id = ?2")?;
    for id in 1..=ORDERS {
        let status = ["open", "paid", "paid", "shipped", "shipped", "shipped", "shipped", "returned"][rng.usize(..8)];
        order.execute(params![id, rng.u32(1..=USERS), status, rng.f64()])?;
        for _ in 0..rng.u32(1..=4) {
            item.execute(params![id, rng.u32(1..=PRODUCTS), rng.u32(1..=3)])?;
        }
    }
    connection.execute_batch(
        "UPDATE orders SET total = (SELECT round(sum(quantity * unit_price), 2) FROM order_items WHERE order_id = orders.id)",
    )
}

fn fill_reviews(connection: &Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare("INSERT INTO reviews VALUES (?1, ?2, ?3, ?4, ?5, datetime('now', '-' || ?6 || ' hours', '-' || ?7 || ' minutes'))")?;
    for id in 1..=REVIEWS {
        let (stars, text) = OPINIONS[rng.usize(..OPINIONS.len())];
        insert.execute(params![id, rng.u32(1..=PRODUCTS), rng.u32(1..=USERS), stars, text, rng.u32(0..10_000), rng.u32(0..60)])?;
    }
    Ok(())
}

fn pick(rng: &mut Rng, from: &[&'static str]) -> &'static str {
    from[rng.usize(..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_of_today_and_is_left_alone_where_it_is_not_ours() {
        let folder = std::env::temp_dir().join(format!("toolcrib-sample-{}", std::process::id()));
        let file = folder.join("sample.sqlite");
        ensure(&file).unwrap();
        let count = |sql: &str| Connection::open(&file).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM users"), i64::from(USERS));
        assert!(count("SELECT count(*) FROM users WHERE registered_at >= date('now', 'start of month')") >= i64::from(USERS_THIS_MONTH));
        assert_eq!(count("SELECT count(*) FROM users WHERE registered_at > datetime('now') OR last_seen_at < registered_at"), 0);
        assert_eq!(count("SELECT count(*) FROM orders WHERE ordered_at > datetime('now') OR total <= 0"), 0);
        assert_eq!(count("SELECT count(*) FROM orders o JOIN users u ON u.id = o.user_id WHERE ordered_at < registered_at"), 0);
        // One of yesterday is made anew.
        Connection::open(&file).unwrap().execute_batch("DELETE FROM reviews; PRAGMA user_version = 1").unwrap();
        ensure(&file).unwrap();
        assert_eq!(count("SELECT count(*) FROM reviews"), i64::from(REVIEWS));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        // What is not ours stays.
        fs::write(&file, "somebody's own").unwrap();
        ensure(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"somebody's own");
        fs::remove_dir_all(folder).unwrap();
    }
}
