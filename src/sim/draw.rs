//! Numbers that look like chance and follow from the seed alone.

/// A number that follows from `parts` alone, evenly spread over all of `u64`. Nothing else in the simulated platform
/// is random, so the same seed and the same questions give the same answers in whatever order they come.
pub fn draw(parts: &[u64]) -> u64 {
    parts.iter().fold(0x6a09_e667_f3bc_c909, |state, &part| mix(state ^ mix(part.wrapping_add(state))))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

/// A text as a number to draw with.
pub fn of_text(text: &str) -> u64 {
    text.bytes().fold(0, |state, byte| mix(state ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_its_place_counts() {
        let numbers = [draw(&[1, 2]), draw(&[2, 1]), draw(&[1, 3]), draw(&[1]), draw(&[1, 2, 0])];
        for (i, a) in numbers.iter().enumerate() {
            assert!(numbers[..i].iter().all(|b| a != b), "{numbers:?}");
        }
    }

    #[test]
    fn the_spread_is_even() {
        let below = (0..10_000u64).filter(|&n| draw(&[7, n]) % 1000 < 100).count();
        assert!((850..1150).contains(&below), "{below} of 10000 instead of about 1000");
    }
}
