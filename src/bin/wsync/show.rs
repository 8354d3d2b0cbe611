//! How messages are shown to a person.
