//! Times as people and records write them: RFC 3339 and milliseconds since the epoch.
