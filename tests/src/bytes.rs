//! Contents for objects and files: as many bytes as a test wants, the same each time.

/// Bytes of which no two stretches are alike, other ones for each seed.
pub fn bytes(size: usize, seed: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ seed.wrapping_mul(0x85eb_ca6b);
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}
