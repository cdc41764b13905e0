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
    write_request_around::<A>(out, version, correlation_id, client_id, request, &[]).map(drop)
}

/// The same without the request's values of bytes: see [`write_response_around`].
pub fn write_request_around<A: Api>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &A::Request<'_>,
    lengths: &[usize],
) -> Result<Vec<usize>, WireError> {
    check_version::<A>("request", version)?;
    let header = RequestHeader {
        api_key: A::KEY.code(),
        api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    framed(out, lengths, |writer| {
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
    write_response_around::<A>(out, version, correlation_id, response, &[]).map(drop)
}

/// The same without the response's values of bytes, which are sent from where they lie: of the first, the second, and so on only
/// the length is written, as `lengths` has it. Gives where in `out` each belongs.
pub fn write_response_around<A: Api>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    response: &A::Response<'_>,
    lengths: &[usize],
) -> Result<Vec<usize>, WireError> {
    check_version::<A>("response", version)?;
    framed(out, lengths, |writer| {
        ResponseHeader { correlation_id }.write(writer, A::KEY, version);
        response.write(writer, version)
    })
}

fn framed(
    out: &mut Vec<u8>,
    apart: &[usize],
    write: impl FnOnce(&mut Writer) -> Result<(), WireError>,
) -> Result<Vec<usize>, WireError> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let mut writer = Writer::append_to(std::mem::take(out), false);
    writer.leave_out(apart);
    let written = write(&mut writer);
    let gaps = writer.take_gaps();
    *out = writer.into_bytes();
    let left_out = apart.iter().take(gaps.len()).fold(0_usize, |sum, length| sum.saturating_add(*length));
    let length = (out.len() - start - PREFIX_BYTES).saturating_add(left_out);
    let stated = written.and_then(|()| {
        let problem = Problem::TooLong { length };
        i32::try_from(length).map_err(|_| WireError { message: "frame", ..WireError::new(0, problem) })
    });
    match stated {
        Ok(stated) => out[start..start + PREFIX_BYTES].copy_from_slice(&stated.to_be_bytes()),
        Err(_) => out.truncate(start),
    }
    stated.map(|_| gaps)
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

#[cfg(test)]
mod tests {
    use super::super::fetch::{AbortedTransaction, Fetch, FetchResponse, FetchableTopicResponse, PartitionData};
    use super::super::produce::NodeEndpoint;
    use super::*;

    /// Three partitions of two topics, with tagged fields and what stands behind the records.
    fn response<'a>(version: i16, records: [&'a [u8]; 3]) -> FetchResponse<'a> {
        let partition = |(index, records): (usize, &'a [u8])| PartitionData {
            partition_index: index as i32,
            aborted_transactions: Some(vec![AbortedTransaction { producer_id: 7, first_offset: 8 }]),
            records: Some(records),
            ..Default::default()
        };
        let mut partitions: Vec<_> = records.into_iter().enumerate().map(partition).collect();
        if version >= 12 {
            partitions[1].diverging_epoch.epoch = 4;
        }
        let topic = |partitions| FetchableTopicResponse {
            topic: if version < 13 { "t".into() } else { String::new() },
            partitions,
            ..Default::default()
        };
        let second = topic(partitions.split_off(1));
        let endpoint = NodeEndpoint { node_id: 1, host: "h".into(), port: 9, rack: None };
        let node_endpoints = if version < 16 { Vec::new() } else { vec![endpoint] };
        FetchResponse { responses: vec![topic(partitions), second], node_endpoints, ..Default::default() }
    }

    #[test]
    fn an_answer_without_its_records_has_room_for_them_where_they_belong() {
        let records: [&[u8]; 3] = [&[1; 200], &[], &[3; 20_000]];
        for version in 4..=18 {
            let mut whole = vec![0xaa; 3];
            write_response::<Fetch>(&mut whole, version, 5, &response(version, records)).unwrap();
            let mut around = vec![0xaa; 3];
            let lengths = records.map(<[u8]>::len);
            let without = response(version, [&[], &[], b"not these"]);
            let gaps = write_response_around::<Fetch>(&mut around, version, 5, &without, &lengths).unwrap();
            assert_eq!(gaps.len(), 3);
            for (gap, records) in gaps.into_iter().zip(records).rev() {
                around.splice(gap..gap, records.iter().copied());
            }
            assert_eq!(around, whole, "version {version}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_with_what_was_left_out_is_refused_and_nothing_of_it_is_written() {
        let mut out = vec![7];
        let answer = response(12, [&[], &[], &[]]);
        let too_long = write_response_around::<Fetch>(&mut out, 12, 5, &answer, &[1 << 30, 1 << 30, 9]);
        assert!(too_long.is_err());
        assert_eq!(out, [7]);
    }
}
