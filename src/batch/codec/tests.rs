//! What each codec's format allows, claims and hides.

use super::*;

/// Unfolds `input` inside `budget`, taking the contents away as they come.
fn unfold(codec: Codec, input: &[u8], budget: usize) -> Result<Vec<u8>, BatchError> {
    let (mut unfold, mut window) = (Unfold::default(), Window::new(budget));
    unfold_with(&mut unfold, &mut window, codec, input)
}

fn unfold_with(unfold: &mut Unfold, window: &mut Window, codec: Codec, input: &[u8]) -> Result<Vec<u8>, BatchError> {
    unfold.start(codec, window);
    let mut contents = Vec::new();
    while unfold.fill(codec, input, window)? {
        let bytes = window.unread().len();
        assert!(bytes > 0, "progress");
        contents.extend_from_slice(window.take(bytes));
    }
    Ok(contents)
}

fn fold(codec: Codec, plain: &[u8]) -> Vec<u8> {
    let mut into = Vec::new();
    Fold::new(codec).fold(plain, &mut into).unwrap();
    into
}

const REAL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Bytes that compress somewhat.
fn mixed(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    (0..bytes)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if index % 64 < 40 { (index / 64) as u8 } else { (state >> 24) as u8 }
        })
        .collect()
}

fn problem(result: Result<Vec<u8>, BatchError>) -> String {
    match result {
        Err(BatchError::Compressed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    for codec in REAL {
        let (mut unfold, mut window) = (Unfold::default(), Window::new(1 << 20));
        for bytes in [0, 1, 12, 13, 1_000, 32 * 1024, 65_535, 65_536, 65_537, 300_000] {
            for plain in [mixed(bytes), vec![b'x'; bytes]] {
                let folded = fold(codec, &plain);
                let back = unfold_with(&mut unfold, &mut window, codec, &folded).unwrap();
                assert!(back == plain, "{codec} {bytes}");
            }
        }
    }
}

#[test]
fn bytes_that_end_early_are_an_error_at_every_cut() {
    let plain = mixed(3_000);
    for codec in REAL {
        let folded = fold(codec, &plain);
        for cut in 0..folded.len() {
            let got = unfold(codec, &folded[..cut], 1 << 20);
            // A cut between two framed snappy blocks cannot be seen here, only by the record count.
            assert!(got.is_err() || codec == Codec::Snappy && got.unwrap().len() < plain.len(), "{codec} cut at {cut}");
        }
    }
}

#[test]
fn gzip_members_may_follow_one_another_and_carry_names() {
    let mut named = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut named, b"one").unwrap();
    let mut members = named.finish().unwrap();
    members.extend(fold(Codec::Gzip, b""));
    members.extend(fold(Codec::Gzip, b"two"));
    assert_eq!(unfold(Codec::Gzip, &members, 4_096).unwrap(), b"onetwo");
    members.extend(b"what follows and is no member");
    assert_eq!(unfold(Codec::Gzip, &members, 4_096).unwrap(), b"onetwo");
}

#[test]
fn gzip_checks_what_stands_behind_the_stream() {
    let mut folded = fold(Codec::Gzip, b"abc");
    let at = folded.len() - 8;
    folded[at] ^= 1;
    assert!(problem(unfold(Codec::Gzip, &folded, 4_096)).contains("checksum"));
}

#[test]
fn snappy_is_read_framed_raw_and_concatenated() {
    let plain = mixed(100_000);
    let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(unfold(Codec::Snappy, &raw, 200_000).unwrap(), plain);
    let twice = [fold(Codec::Snappy, b"one"), fold(Codec::Snappy, b""), fold(Codec::Snappy, b"two")].concat();
    assert_eq!(unfold(Codec::Snappy, &twice, 4_096).unwrap(), b"onetwo");
    assert_eq!(unfold(Codec::Snappy, &[0], 4_096).unwrap(), b"");
}

#[test]
fn a_snappy_block_cannot_claim_more_than_snappy_can_do() {
    // Length 2^30 in five bytes, then a literal of one byte.
    let raw = [0x80, 0x80, 0x80, 0x80, 0x04, 0x00, b'x'];
    assert!(problem(unfold(Codec::Snappy, &raw, usize::MAX)).contains("claims 1073741824 bytes"));
    let framed = [&MAGIC_AND_VERSION[..], &7u32.to_be_bytes(), &raw].concat();
    assert!(problem(unfold(Codec::Snappy, &framed, usize::MAX)).contains("claims"));
}

const MAGIC_AND_VERSION: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

#[test]
fn a_raw_snappy_block_is_paid_for_before_it_is_decoded() {
    let raw = snap::raw::Encoder::new().compress_vec(&vec![0; 100_000]).unwrap();
    let refused = BatchError::OverBudget { what: "a snappy block", needed: 100_000, budget: 99_999 };
    assert_eq!(unfold(Codec::Snappy, &raw, 99_999), Err(refused));
    assert_eq!(unfold(Codec::Snappy, &raw, 100_000).unwrap().len(), 100_000);
}

fn lz4_frame(info: lz4_flex::frame::FrameInfo, plain: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lz4_frames_of_other_writers_are_read() {
    use lz4_flex::frame::{BlockSize, FrameInfo};
    let plain = mixed(700_000);
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        let info = FrameInfo::new().block_size(size).block_checksums(true).content_checksum(true);
        let frame = lz4_frame(info.content_size(Some(plain.len() as u64)), &plain);
        assert!(unfold(Codec::Lz4, &frame, 1 << 20).unwrap() == plain);
        let again = [&frame[..], b"what follows the end mark"].concat();
        assert!(unfold(Codec::Lz4, &again, 1 << 20).unwrap() == plain);
    }
}

#[test]
fn lz4_blocks_of_four_mebibytes_cost_what_they_hold() {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max4MB);
    let frame = lz4_frame(info, &mixed(10_000));
    assert_eq!(unfold(Codec::Lz4, &frame, 10_000).unwrap().len(), 10_000);
    let refused = BatchError::OverBudget { what: "an lz4 block", needed: 10_000, budget: 9_999 };
    assert_eq!(unfold(Codec::Lz4, &frame, 9_999), Err(refused));
}

#[test]
fn lz4_frames_that_kafka_refuses_are_refused() {
    use lz4_flex::frame::{BlockMode, FrameInfo};
    let linked = lz4_frame(FrameInfo::new().block_mode(BlockMode::Linked), b"abc");
    assert!(problem(unfold(Codec::Lz4, &linked, 1 << 20)).contains("depend on one another"));
    let mut frame = fold(Codec::Lz4, b"abcabcabcabcabcabcabcabc");
    frame[6] ^= 1;
    assert!(problem(unfold(Codec::Lz4, &frame, 1 << 20)).contains("header's checksum"));
    let mut frame = lz4_frame(FrameInfo::new().block_checksums(true), b"abcabcabcabcabcabcabcabc");
    let at = frame.len() - 5;
    frame[at] ^= 1;
    assert!(problem(unfold(Codec::Lz4, &frame, 1 << 20)).contains("block's checksum"));
    let mut frame = fold(Codec::Lz4, b"x");
    frame[7..11].copy_from_slice(&65_537u32.to_le_bytes());
    assert!(problem(unfold(Codec::Lz4, &frame, 1 << 20)).contains("65537 bytes where 65536"));
}

#[test]
fn zstd_frames_may_follow_one_another_with_skippable_ones_between() {
    let skippable = [&0x184d_2a53u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"abc"].concat();
    let frames = [fold(Codec::Zstd, b"one"), skippable.clone(), fold(Codec::Zstd, b"two"), skippable].concat();
    assert_eq!(unfold(Codec::Zstd, &frames, 1 << 20).unwrap(), b"onetwo");
    let garbage = [&frames[..], b"garbage"].concat();
    assert!(problem(unfold(Codec::Zstd, &garbage, 1 << 20)).contains("where one should begin"));
}

/// A frame of one RLE block.
fn zstd_rle(descriptor: &[u8], bytes: u32) -> Vec<u8> {
    let block = (bytes << 3 | 0b011).to_le_bytes();
    [&0xfd2f_b528u32.to_le_bytes()[..], descriptor, &block[..3], b"z"].concat()
}

#[test]
fn a_zstd_window_above_eight_mebibytes_is_refused_by_name() {
    let eight = zstd_rle(&[0, 13 << 3], 5);
    assert_eq!(unfold(Codec::Zstd, &eight, 4_096).unwrap(), b"zzzzz");
    let nine = zstd_rle(&[0, 13 << 3 | 1], 5);
    assert_eq!(unfold(Codec::Zstd, &nine, 4_096), Err(BatchError::ZstdWindow { window: 9 << 20, limit: 8 << 20 }));
    let most = zstd_rle(&[0, 0xff], 5);
    assert!(matches!(unfold(Codec::Zstd, &most, 4_096), Err(BatchError::ZstdWindow { .. })));
    // One segment: the window is the content size.
    let segment = zstd_rle(&[&[0xe0][..], &u64::MAX.to_le_bytes()].concat(), 5);
    let refused = BatchError::ZstdWindow { window: u64::MAX, limit: 8 << 20 };
    assert_eq!(unfold(Codec::Zstd, &segment, 4_096), Err(refused));
}

#[test]
fn a_zstd_window_is_charged_as_far_as_it_can_be_filled() {
    let blocks: Vec<u8> = std::iter::repeat_n([0x02, 0, 0x10, b'a'], 20).flatten().collect();
    let last = [0x03, 0, 0x10, b'b'];
    let frame = [&0xfd2f_b528u32.to_le_bytes()[..], &[0, 10 << 3], &blocks, &last].concat();
    let refused = BatchError::OverBudget { what: "zstd history", needed: 1 << 20, budget: 1 << 19 };
    assert_eq!(unfold(Codec::Zstd, &frame, 1 << 19), Err(refused));
    assert_eq!(unfold(Codec::Zstd, &frame, 3 << 19).unwrap().len(), 21 << 17);
}

#[test]
fn zstd_checks_the_size_and_checksum_a_frame_states() {
    for stated in [4u8, 6] {
        let frame = zstd_rle(&[0x20, stated], 5);
        assert!(problem(unfold(Codec::Zstd, &frame, 4_096)).contains("contents"), "{stated}");
    }
    assert_eq!(unfold(Codec::Zstd, &zstd_rle(&[0x20, 5], 5), 4_096).unwrap(), b"zzzzz");
    let mut frame = fold(Codec::Zstd, b"abc");
    *frame.last_mut().unwrap() ^= 1;
    assert!(problem(unfold(Codec::Zstd, &frame, 1 << 20)).contains("checksum"));
    assert!(problem(unfold(Codec::Zstd, &zstd_rle(&[1, 0, 7], 5), 4_096)).contains("dictionary"));
}

#[test]
fn one_reader_goes_from_codec_to_codec_inside_its_budget() {
    let (mut unfold, mut window) = (Unfold::default(), Window::new(600_000));
    let plain = mixed(400_000);
    for _ in 0..2 {
        for codec in REAL {
            let folded = fold(codec, &plain);
            assert!(unfold_with(&mut unfold, &mut window, codec, &folded).unwrap() == plain, "{codec}");
        }
    }
}
