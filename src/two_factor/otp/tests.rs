use super::*;

const TWENTY: &[u8; 20] = b"12345678901234567890";

#[test]
fn the_values_of_rfc_4226_appendix_d_come_out() {
    let expected =
        [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
    for (counter, expected) in (0..).zip(expected) {
        assert_eq!(hotp(TWENTY, counter, Algorithm::Sha1, Digits::Six), expected, "{counter}");
    }
}

#[test]
fn the_values_of_rfc_6238_appendix_b_come_out_for_all_three_hashes() {
    let seeds = [(Algorithm::Sha1, 20_usize), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)];
    let expected = [
        (59, [94_287_082, 46_119_246, 90_693_936]),
        (1_111_111_109, [7_081_804, 68_084_774, 25_091_201]),
        (1_111_111_111, [14_050_471, 67_062_674, 99_943_326]),
        (1_234_567_890, [89_005_924, 91_819_424, 93_441_116]),
        (2_000_000_000, [69_279_037, 90_698_825, 38_618_901]),
        (20_000_000_000, [65_353_130, 77_737_706, 47_863_826]),
    ];
    let mut compared = 0;
    for (seconds, codes) in expected {
        for ((algorithm, length), code) in seeds.into_iter().zip(codes) {
            // The seeds are the ten digits again and again, as the erratum to the RFC has it.
            let seed: Vec<u8> = TWENTY.iter().copied().cycle().take(length).collect();
            let found = hotp(&seed, step(seconds), algorithm, Digits::Eight);
            assert_eq!(found, code, "{algorithm:?} at {seconds}");
            compared += 1;
        }
    }
    assert_eq!(compared, 18);
}

#[test]
fn right_wrong_and_out_of_window_codes_cost_the_same_macs() {
    let code = |step| hotp(TWENTY, step, Algorithm::Sha1, Digits::Six);
    let window = [1000, 999, 1001];
    let macs = |given: u32| {
        let mut macs = 0;
        let found = find_step(given, window, |step| {
            macs += 1;
            code(step)
        });
        (found, macs)
    };
    assert_eq!(macs(code(1000)), (Some(1000), 3));
    assert_eq!(macs(code(999)), (Some(999), 3));
    assert_eq!(macs(code(1001)), (Some(1001), 3));
    assert_eq!(macs(code(1002)), (None, 3));
    assert_eq!(macs(code(998)), (None, 3));
    assert_eq!(macs(1_000_000), (None, 3));
}

#[test]
fn of_two_steps_with_one_code_the_later_is_used_up() {
    for steps in [[7, 9, 8], [9, 8, 7], [8, 7, 9]] {
        assert_eq!(find_step(5, steps, |_| 5), Some(9), "{steps:?}");
    }
}

#[test]
fn a_code_has_its_exact_length_and_only_ascii_digits() {
    assert_eq!(Digits::Six.parse("000000"), Some(0));
    assert_eq!(Digits::Six.parse("081804"), Some(81_804));
    assert_eq!(Digits::Eight.parse("07081804"), Some(7_081_804));
    let shorter = ["", "1", "12", "123", "1234", "12345"];
    let longer = ["1234567", "12345678", "123456789"];
    let other =
        ["12 345", " 123456", "123456 ", "-12345", "+12345", "12345x", "１２３４５６", "1234\n6"];
    for code in shorter.iter().chain(&longer).chain(&other) {
        assert_eq!(Digits::Six.parse(code), None, "{code:?}");
    }
}

#[test]
fn times_before_1970_are_the_first_step() {
    assert_eq!(step(-1), 0);
    assert_eq!(step(29), 0);
    assert_eq!(step(30), 1);
}
