//! How an input is cut into pieces that come one after the other.

/// Hands over the input in pieces of 1 to 256 bytes. Their lengths are bytes of the input, so that it needs no part that says
/// so and may be a file as it is.
pub fn of(input: &[u8], mut each: impl FnMut(&[u8])) {
    let mut rest = input;
    while let Some(&first) = rest.first() {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(first) + 1));
        each(piece);
        rest = after;
    }
}

/// Hands over the input byte by byte, with nothing between the bytes now and then.
pub fn single(input: &[u8], mut each: impl FnMut(&[u8])) {
    for (index, byte) in input.iter().enumerate() {
        each(std::slice::from_ref(byte));
        if index % 8 == 0 {
            each(&[]);
        }
    }
}
