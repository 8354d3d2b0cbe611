//! Who is in which room, here and on the other servers.
//!
//! Each server tells the others every second who is there. Of a server that has not been heard for a while it is taken
//! that it has died, and its people are gone.

use crate::broker::Beat;
use crate::protocol::ToClient;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};
use wsync::Message;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(4);

pub struct People {
    instance: String,
    here: BTreeMap<String, Room>,
    elsewhere: HashMap<String, (Instant, Beat)>,
    /// Rooms whose people are to be told.
    changed: BTreeSet<String>,
    /// Whether somebody has come or gone here since the last beat.
    pub has_news: bool,
    /// Counts what is told, over all rooms.
    version: u64,
}

/// The people of this server that are in a room.
#[derive(Default)]
struct Room {
    names: BTreeMap<u64, String>,
    told: Who,
}

/// What the people in a room are told.
#[derive(Clone)]
pub struct Who {
    names: Vec<String>,
    pub version: u64,
    pub message: Message,
}

impl Default for Who {
    fn default() -> Self {
        Who {
            names: Vec::new(),
            version: 0,
            message: Message::from(""),
        }
    }
}

impl People {
    pub fn new(instance: String) -> Self {
        People {
            instance,
            here: BTreeMap::new(),
            elsewhere: HashMap::new(),
            changed: BTreeSet::new(),
            has_news: false,
            version: 0,
        }
    }

    pub fn join(&mut self, room: &str, id: u64, name: &str) {
        let entry = self.here.entry(room.to_owned()).or_default();
        entry.names.insert(id, name.to_owned());
        self.has_news = true;
        self.mark(room);
    }

    pub fn leave(&mut self, room: &str, id: u64) {
        if let Some(entry) = self.here.get_mut(room) {
            entry.names.remove(&id);
            if entry.names.is_empty() {
                self.here.remove(room);
            }
        }
        self.has_news = true;
        self.mark(room);
    }

    /// Another server has told who is there.
    pub fn hear(&mut self, beat: Beat, now: Instant) {
        if beat.server == self.instance {
            return;
        }
        let server = beat.server.clone();
        let before = self.elsewhere.insert(server, (now, beat.clone()));
        let before = before.map(|(_, beat)| beat.rooms).unwrap_or_default();
        for room in before.keys().chain(beat.rooms.keys()) {
            if before.get(room) != beat.rooms.get(room) {
                self.mark(room);
            }
        }
    }

    /// Forgets servers that are silent.
    pub fn expire(&mut self, now: Instant) {
        let mut gone = Vec::new();
        self.elsewhere.retain(|_, (heard, beat)| {
            let stays = now.saturating_duration_since(*heard) < SILENCE;
            if !stays {
                gone.extend(beat.rooms.keys().cloned());
            }
            stays
        });
        self.changed.extend(gone);
    }

    /// Its people are to be told.
    pub fn mark(&mut self, room: &str) {
        self.changed.insert(room.to_owned());
    }

    pub fn have_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What the people in rooms of this server are to be told.
    pub fn changes(&mut self) -> Vec<(String, Who)> {
        let changed = std::mem::take(&mut self.changed);
        let mut changes = Vec::new();
        for name in changed {
            let names = self.names(&name);
            let Some(room) = self.here.get_mut(&name) else {
                continue;
            };
            if room.told.version == 0 || room.told.names != names {
                self.version += 1;
                let message = ToClient::Here { names: &names }.to_message();
                room.told = Who {
                    names,
                    version: self.version,
                    message,
                };
            }
            changes.push((name, room.told.clone()));
        }
        changes
    }

    /// All in a room, each name once, in the order of the alphabet.
    fn names(&self, room: &str) -> Vec<String> {
        let here = self.here.get(room).into_iter();
        let elsewhere = self.elsewhere.values();
        let here = here.flat_map(|room| room.names.values());
        let elsewhere = elsewhere.filter_map(|(_, beat)| beat.rooms.get(room));
        let names: BTreeSet<&String> = here.chain(elsewhere.flatten()).collect();
        names.into_iter().cloned().collect()
    }

    /// The connections of this server that are in a room.
    pub fn in_room(&self, room: &str) -> Vec<u64> {
        let room = self.here.get(room).into_iter();
        room.flat_map(|room| room.names.keys().copied()).collect()
    }

    pub fn has_room(&self, room: &str) -> bool {
        self.here.contains_key(room)
    }

    /// How many have people of this server in them.
    pub fn rooms(&self) -> usize {
        self.here.len()
    }

    /// What the other servers are told.
    pub fn beat(&mut self) -> Beat {
        self.has_news = false;
        let mut beat = self.nobody();
        for (name, room) in &self.here {
            let names: BTreeSet<&String> = room.names.values().collect();
            let names = names.into_iter().cloned().collect();
            beat.rooms.insert(name.clone(), names);
        }
        beat
    }

    /// The same when this server ends.
    pub fn nobody(&self) -> Beat {
        Beat {
            server: self.instance.clone(),
            rooms: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(server: &str, room: &str, names: &[&str]) -> Beat {
        let names = names.iter().map(|name| name.to_string()).collect();
        Beat {
            server: server.into(),
            rooms: BTreeMap::from([(room.into(), names)]),
        }
    }

    fn told(people: &mut People) -> Vec<(String, Vec<String>)> {
        let changes = people.changes().into_iter();
        changes.map(|(room, who)| (room, who.names)).collect()
    }

    fn tea(names: &[&str]) -> Vec<(String, Vec<String>)> {
        vec![(
            "tea".into(),
            names.iter().map(|name| name.to_string()).collect(),
        )]
    }

    #[test]
    fn people_of_all_servers_are_told_each_name_once() {
        let now = Instant::now();
        let mut people = People::new("one".into());
        people.join("tea", 1, "Bo");
        people.join("tea", 2, "Bo");
        people.hear(beat("two", "tea", &["Ann", "Bo"]), now);
        assert_eq!(told(&mut people), tea(&["Ann", "Bo"]));
        people.leave("tea", 1);
        assert_eq!(told(&mut people), tea(&["Ann", "Bo"]));
        assert!(!people.have_changed());
    }

    #[test]
    fn people_of_a_silent_server_are_gone() {
        let now = Instant::now();
        let mut people = People::new("one".into());
        people.join("tea", 1, "Bo");
        people.hear(beat("two", "tea", &["Ann"]), now);
        people.changes();
        people.expire(now + SILENCE / 2);
        assert!(!people.have_changed());
        people.expire(now + SILENCE);
        assert_eq!(told(&mut people), tea(&["Bo"]));
    }

    #[test]
    fn a_beat_like_the_one_before_changes_nothing() {
        let now = Instant::now();
        let mut people = People::new("one".into());
        people.join("tea", 1, "Bo");
        people.hear(beat("two", "tea", &["Ann"]), now);
        people.changes();
        people.hear(beat("two", "tea", &["Ann"]), now);
        people.hear(beat("one", "tea", &["Myself"]), now);
        assert!(!people.have_changed());
        people.hear(beat("two", "tea", &[]), now);
        assert_eq!(told(&mut people), tea(&["Bo"]));
    }

    #[test]
    fn an_empty_room_is_no_room() {
        let mut people = People::new("one".into());
        people.join("tea", 1, "Bo");
        assert_eq!((people.rooms(), people.has_room("tea")), (1, true));
        people.leave("tea", 1);
        assert_eq!((people.rooms(), people.has_room("tea")), (0, false));
        assert_eq!(told(&mut people), []);
    }
}
