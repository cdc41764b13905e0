//! Whole frames: four bytes of length, a header, a message. The length is checked against a limit before anybody makes
//! room for it; bytes after the message are an error in both directions.

use super::error::Problem;
use super::header::{RequestHeader, ResponseHeader, check_version};
use super::{Api, Message, Reader, WireError, Writer};

/// Bytes of the length in front of each frame.
pub const PREFIX_BYTES: usize = 4;

/// How many bytes follow the prefix; refused below 0 and above `bytes_max`.
pub fn length(prefix: [u8; PREFIX_BYTES], bytes_max: usize) -> Result<usize, WireError> {
    let stated = i32::from_be_bytes(prefix);
    match usize::try_from(stated) {
        Ok(length) if length <= bytes_max => Ok(length),
        _ => Err(WireError { message: "frame", ..WireError::new(0, Problem::Frame { stated, bytes_max }) }),
    }
}

/// Appends a request to `out` as a whole frame. On an error `out` is as it was.
pub fn write_request<A: Api>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &A::Request<'_>,
) -> Result<(), WireError> {
    check_version::<A>("request", version)?;
    let header = RequestHeader {
        api_key: A::KEY.code(),
        api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    framed(out, |writer| {
        header.write(writer)?;
        request.write(writer, version)
    })
}

/// Appends a response to `out` as a whole frame. On an error `out` is as it was.
pub fn write_response<A: Api>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    response: &A::Response<'_>,
) -> Result<(), WireError> {
    check_version::<A>("response", version)?;
    framed(out, |writer| {
        ResponseHeader { correlation_id }.write(writer, A::KEY, version);
        response.write(writer, version)
    })
}

fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer) -> Result<(), WireError>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let mut writer = Writer::append_to(std::mem::take(out), false);
    let written = write(&mut writer);
    *out = writer.into_bytes();
    let length = out.len() - start - PREFIX_BYTES;
    let stated = written.and_then(|()| {
        let problem = Problem::TooLong { length };
        i32::try_from(length).map_err(|_| WireError { message: "frame", ..WireError::new(0, problem) })
    });
    match stated {
        Ok(stated) => out[start..start + PREFIX_BYTES].copy_from_slice(&stated.to_be_bytes()),
        Err(_) => out.truncate(start),
    }
    stated.map(|_| ())
}

/// Reads the request behind a header that [`RequestHeader::read`] has read from the same reader, up to the frame's end.
pub fn read_request<'a, A: Api>(reader: &mut Reader<'a>, version: i16) -> Result<A::Request<'a>, WireError> {
    check_version::<A>("request", version)?;
    reader.set_flexible(version >= A::FLEXIBLE_FROM);
    let request = A::Request::read(reader, version)?;
    reader.finish().map_err(|error| error.of("request", version))?;
    Ok(request)
}

/// Reads a whole response frame (without the four bytes of length): its correlation id and the message.
pub fn read_response<A: Api>(frame: &[u8], version: i16) -> Result<(i32, A::Response<'_>), WireError> {
    check_version::<A>("response", version)?;
    let mut reader = Reader::new(frame, false);
    let header = ResponseHeader::read(&mut reader, A::KEY, version)?;
    let response = A::Response::read(&mut reader, version)?;
    reader.finish().map_err(|error| error.of("response", version))?;
    Ok((header.correlation_id, response))
}
