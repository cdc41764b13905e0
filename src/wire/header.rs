//! What stands before each message: which API and version it is, and which answer belongs to which request.
//!
//! - The header's own version follows from API and version: flexible messages have a flexible header (2 for requests, 1
//!   for responses), others 1 and 0. Request header 0, without a client id, belonged to one message between brokers
//!   (ControlledShutdown 0) that Kafka 4 no longer has; [`RequestHeader::read_at`] reads it all the same.
//! - ApiVersions is answered with response header 0 at every version: the client may not know yet what the broker speaks.
//! - The client id has the old two-byte length in every version, for the same reason.

use super::error::Problem;
use super::{ApiKey, Reader, WireError, Writer};

/// Before a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API, a number, as a broker may be asked for one that it does not know.
    pub api_key: i16,
    /// The version of the message that follows.
    pub api_version: i16,
    /// What the answer will carry.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// The header's version before a request of that API and version. An unknown API gets 1, which reads the fields.
    pub const fn version_of(api_key: i16, api_version: i16) -> i16 {
        match ApiKey::from_code(api_key) {
            Some(key) if api_version >= key.flexible_from() => 2,
            _ => 1,
        }
    }

    /// Reads it at the version that its first two fields imply, and leaves the reader ready for the message.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut ahead = reader.clone();
        let version = ahead.i16().and_then(|key| Ok(Self::version_of(key, ahead.i16()?)));
        Self::read_at(reader, version.map_err(|error| error.of("RequestHeader", 1))?)
    }

    /// Reads it at a header version: 0, 1 or 2.
    pub fn read_at(reader: &mut Reader<'_>, version: i16) -> Result<Self, WireError> {
        Self::read_fields(reader, version).map_err(|error| error.of("RequestHeader", version))
    }

    fn read_fields(reader: &mut Reader<'_>, version: i16) -> Result<Self, WireError> {
        reader.set_flexible(false);
        let (api_key, api_version, correlation_id) = (reader.i16()?, reader.i16()?, reader.i32()?);
        let client_id = if version >= 1 { reader.nullable_str()?.map(str::to_owned) } else { None };
        reader.set_flexible(version >= 2);
        reader.tagged_fields(|_, _| Ok(false))?;
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes it, and leaves the writer ready for the message.
    pub fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        let version = Self::version_of(self.api_key, self.api_version);
        writer.set_flexible(false);
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        let client_id = writer.nullable_str(self.client_id.as_deref());
        client_id.map_err(|error| error.inside("RequestHeader", version, "client_id"))?;
        if version >= 2 {
            writer.set_flexible(true);
            writer.uvarint(0);
        }
        Ok(())
    }
}

/// Before a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request it answers.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// The header's version before a response of that API and version.
    pub const fn version_of(key: ApiKey, api_version: i16) -> i16 {
        let flexible = api_version >= key.flexible_from();
        if flexible && !matches!(key, ApiKey::ApiVersions) { 1 } else { 0 }
    }

    /// Reads it, and leaves the reader ready for the message.
    pub fn read(reader: &mut Reader<'_>, key: ApiKey, api_version: i16) -> Result<Self, WireError> {
        let version = Self::version_of(key, api_version);
        let read = |reader: &mut Reader<'_>| {
            let correlation_id = reader.i32()?;
            reader.set_flexible(version >= 1);
            reader.tagged_fields(|_, _| Ok(false))?;
            reader.set_flexible(api_version >= key.flexible_from());
            Ok(Self { correlation_id })
        };
        read(reader).map_err(|error: WireError| error.of("ResponseHeader", version))
    }

    /// Writes it, and leaves the writer ready for the message.
    pub fn write(&self, writer: &mut Writer, key: ApiKey, api_version: i16) {
        writer.i32(self.correlation_id);
        if Self::version_of(key, api_version) >= 1 {
            writer.uvarint(0);
        }
        writer.set_flexible(api_version >= key.flexible_from());
    }
}

/// Whether `api_version` is one that the message is stated for.
pub(super) fn check_version<A: super::Api>(message: &'static str, version: i16) -> Result<(), WireError> {
    if A::VERSIONS.contains(&version) {
        return Ok(());
    }
    let problem = Problem::Version { api: A::KEY, first: *A::VERSIONS.start(), last: *A::VERSIONS.end() };
    Err(WireError::new(0, problem).of(message, version))
}
