//! What was said, in SQLite.
//!
//! One thread has the [`Writer`], another the [`Reader`]. The database keeps a log of its own (WAL), so that neither
//! waits for the other. With `synchronous = FULL`, what [`Writer::record`] has returned is on the disk; it takes many
//! messages at once, so that they share the one wait for that.

use crate::protocol::{Draft, Id, Said};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Enters what was said into the history.
pub struct Writer(Connection);

/// Looks up what was said.
pub struct Reader(Connection);

/// The history in a file, which is made if it is not there; without one, in memory.
pub fn open(file: Option<&Path>) -> Result<(Writer, Reader)> {
    static MEMORIES: AtomicU64 = AtomicU64::new(0);
    let place = match file {
        Some(file) => file.to_string_lossy().into_owned(),
        None => {
            let number = MEMORIES.fetch_add(1, Ordering::Relaxed);
            format!("file:/chat-{number}?vfs=memdb")
        }
    };
    let writer = connect(&place)?;
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.execute_batch(SCHEMA)?;
    let reader = connect(&place)?;
    Ok((Writer(writer), Reader(reader)))
}

fn connect(place: &str) -> Result<Connection> {
    let connection = Connection::open(place)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

impl Writer {
    /// The newest there is.
    pub fn last(&self) -> Result<Id> {
        let sql = "SELECT major, minor FROM said ORDER BY major DESC, minor DESC LIMIT 1";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query_map([], id)?;
        rows.next().unwrap_or(Ok(Id::default()))
    }

    /// Enters all of them, or none if there is an error. The same nonce in the same room is the same message, and is
    /// entered once.
    pub fn record(&mut self, batch: &[Said]) -> Result<Recorded> {
        let transaction = self.0.transaction()?;
        let mut recorded = Recorded::default();
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            let mut find = transaction.prepare_cached(FIND)?;
            for said in batch {
                let Said { id, draft } = said;
                let (room, nonce, from) = (&draft.room, &draft.nonce, &draft.from);
                let row = params![id.major, id.minor, room, nonce, from, draft.text, draft.at];
                if insert.execute(row)? == 1 {
                    recorded.new.push(said.clone());
                    continue;
                }
                let first = find
                    .query_row(params![room, nonce], self::said)
                    .optional()?;
                // The broker may deliver again what it has delivered.
                recorded.again.extend(first.filter(|first| first.id != *id));
            }
        }
        transaction.commit()?;
        Ok(recorded)
    }
}

/// What was said, for the first time or not.
#[derive(Debug, Default)]
pub struct Recorded {
    pub new: Vec<Said>,
    /// What was entered before, as it was entered.
    pub again: Vec<Said>,
}

impl Reader {
    /// Whether a room has this message.
    pub fn has(&self, room: &str, id: Id) -> Result<bool> {
        let sql = "SELECT 1 FROM said WHERE room = ? AND major = ? AND minor = ?";
        let mut statement = self.0.prepare_cached(sql)?;
        statement.exists(params![room, id.major, id.minor])
    }

    /// After which message of a room there are only so many more, up to `newest`.
    pub fn before_last(&self, room: &str, count: usize, newest: Id) -> Result<Id> {
        let sql = "SELECT major, minor FROM said WHERE room = ? AND (major, minor) <= (?, ?)
            ORDER BY major DESC, minor DESC LIMIT 1 OFFSET ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let values = params![room, newest.major, newest.minor, count as i64];
        let mut rows = statement.query_map(values, id)?;
        rows.next().unwrap_or(Ok(Id::default()))
    }

    /// How many there are in a room after this one.
    pub fn count_after(&self, room: &str, id: Id) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM said WHERE room = ? AND (major, minor) > (?, ?)";
        let mut statement = self.0.prepare_cached(sql)?;
        statement.query_row(params![room, id.major, id.minor], |row| {
            row.get::<_, i64>(0).map(|count| count as u64)
        })
    }

    /// Those in a room after this one, in order, at most so many.
    pub fn after(&self, room: &str, id: Id, most: usize) -> Result<Vec<Said>> {
        let sql = "SELECT major, minor, room, nonce, sender, text, at FROM said
            WHERE room = ? AND (major, minor) > (?, ?) ORDER BY major, minor LIMIT ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map(params![room, id.major, id.minor, most as i64], said)?;
        rows.collect()
    }
}

fn id(row: &Row<'_>) -> Result<Id> {
    Ok(Id {
        major: row.get(0)?,
        minor: row.get(1)?,
    })
}

fn said(row: &Row<'_>) -> Result<Said> {
    Ok(Said {
        id: id(row)?,
        draft: Draft {
            room: row.get(2)?,
            nonce: row.get(3)?,
            from: row.get(4)?,
            text: row.get(5)?,
            at: row.get(6)?,
        },
    })
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS said (
        major INTEGER NOT NULL,
        minor INTEGER NOT NULL,
        room TEXT NOT NULL,
        nonce TEXT NOT NULL,
        sender TEXT NOT NULL,
        text TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (major, minor)
    );
    CREATE UNIQUE INDEX IF NOT EXISTS said_once ON said (room, nonce);
    CREATE INDEX IF NOT EXISTS said_in_room ON said (room, major, minor);
";

const INSERT: &str = "INSERT OR IGNORE INTO said (major, minor, room, nonce, sender, text, at) VALUES (?, ?, ?, ?, ?, ?, ?)";

const FIND: &str =
    "SELECT major, minor, room, nonce, sender, text, at FROM said WHERE room = ? AND nonce = ?";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(minor: i64, room: &str, nonce: &str) -> Said {
        let id = Id { major: 1, minor };
        let draft = Draft {
            room: room.into(),
            nonce: nonce.into(),
            from: "Ann".into(),
            text: format!("text {minor}"),
            at: 1000 + minor,
        };
        Said { id, draft }
    }

    fn minors(messages: &[Said]) -> Vec<i64> {
        messages.iter().map(|said| said.id.minor).collect()
    }

    #[test]
    fn a_file_keeps_what_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.db");
        let (mut writer, reader) = open(Some(&file)).unwrap();
        assert_eq!(writer.last().unwrap(), Id::default());
        let messages = [said(1, "tea", "a"), said(2, "tea", "b")];
        writer.record(&messages).unwrap();
        drop((writer, reader));

        let (writer, reader) = open(Some(&file)).unwrap();
        assert_eq!(writer.last().unwrap(), messages[1].id);
        assert_eq!(reader.after("tea", Id::default(), 9).unwrap(), messages);
    }

    #[test]
    fn a_nonce_is_entered_once_in_a_room() {
        let (mut writer, reader) = open(None).unwrap();
        let first = [
            said(1, "tea", "a"),
            said(2, "tea", "a"),
            said(3, "rum", "a"),
        ];
        let recorded = writer.record(&first).unwrap();
        assert_eq!(minors(&recorded.new), [1, 3]);
        assert_eq!(recorded.again, [first[0].clone()]);
        let delivered_again = writer.record(&first[..1]).unwrap();
        assert!(delivered_again.new.is_empty() && delivered_again.again.is_empty());
        assert_eq!(minors(&reader.after("tea", Id::default(), 9).unwrap()), [1]);
    }

    #[test]
    fn pages_of_a_room_follow_each_other() {
        let (mut writer, reader) = open(None).unwrap();
        let in_room = |n| if n % 2 == 0 { "even" } else { "odd" };
        let all: Vec<_> = (0..100)
            .map(|n| said(n, in_room(n), &n.to_string()))
            .collect();
        writer.record(&all).unwrap();
        let newest = Id {
            major: 1,
            minor: 99,
        };
        let before = reader.before_last("odd", 3, newest).unwrap();
        assert_eq!(before.minor, 93);
        assert_eq!(reader.count_after("odd", before).unwrap(), 3);
        assert_eq!(minors(&reader.after("odd", before, 2).unwrap()), [95, 97]);
        assert_eq!(
            reader.before_last("odd", 50, newest).unwrap(),
            Id::default()
        );
        let earlier = Id {
            major: 1,
            minor: 94,
        };
        assert_eq!(reader.before_last("odd", 0, earlier).unwrap(), before);
        assert!(reader.has("odd", before).unwrap());
        assert!(!reader.has("even", before).unwrap());
    }

    #[test]
    fn histories_in_memory_have_nothing_in_common() {
        let (mut one, _one) = open(None).unwrap();
        let (_, other) = open(None).unwrap();
        one.record(&[said(1, "tea", "a")]).unwrap();
        assert!(!other.has("tea", Id { major: 1, minor: 1 }).unwrap());
    }
}
