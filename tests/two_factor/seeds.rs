//! What is kept: sealed, for its owner only, under keys that can be changed.

use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::factors::FactorStore;
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::service::two_factor::{Ask, TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::two_factor::{AeadSealer, Imported, Totp, TotpSeed};
use keyfob::{By, Key, KeyId, Keyring, Operation, TokenStore as _};

use crate::scene::{SEED, Scene, alice, answered, bob, keyring};

fn node(store: &MemoryStore, seed: u64) -> Scene {
    Scene::on(store.clone(), ManualClock::new(sample::start()), FactorPolicy::default(), seed)
}

#[test]
fn rows_that_change_owner_realm_or_method_do_not_open_and_nobody_passes() {
    let (alice, bob) = (alice(), bob());
    let store = MemoryStore::default();
    let scene = node(&store, 1).with_totp(&alice).with_totp(&bob).with_email(&alice);
    let row = |owner, method: &'static str| block_on(store.factor(owner, method)).unwrap().unwrap();
    let put = |owner, method: &'static str, sealed: &[u8]| {
        let version = row(owner, method).version;
        assert!(block_on(store.set_factor(owner, method, version, Some(sealed))).unwrap());
    };
    let (mine, his) = (row(&alice, "totp").sealed, row(&bob, "totp").sealed);
    let unavailable = |scene: &Scene, owner| {
        let answer = scene.code(0);
        let found = scene.demand(&Ask::of(owner, Operation::SignIn, b"").answered(&answer));
        assert!(matches!(found, Err(StepUpError::Unavailable(_))), "{found:?}");
    };
    put(&alice, "totp", &his);
    put(&bob, "totp", &mine);
    unavailable(&scene, &alice);
    unavailable(&scene, &bob);
    put(&alice, "totp", &row(&alice, "email").sealed);
    unavailable(&scene, &alice);
    put(&bob, "totp", &his);
    assert_eq!(scene.sign_in(&bob, &scene.code(0)), Ok(answered("totp")));

    let other = store.in_realm(keyfob::RealmId::new("globex").unwrap());
    assert!(block_on(other.set_factor(&alice, "totp", 0, Some(&mine))).unwrap());
    let clock = ManualClock::new(sample::start());
    unavailable(&Scene::on(other, clock, FactorPolicy::default(), 2), &alice);
}

#[test]
fn a_key_is_changed_by_use_and_the_old_one_can_then_go() {
    let (alice, store) = (alice(), MemoryStore::default());
    let scene = node(&store, 1).with_totp(&alice);
    let new = || Key::new(KeyId::new("k2").unwrap(), &[8; 32]).unwrap();
    let old = || Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    let under = |keyring: &Keyring, seed| {
        let sealer = AeadSealer::new(keyring, SeededRandomness::new(seed)).unwrap();
        let vault = Vault::new(store.clone(), sealer, store.realm().clone());
        let policy =
            FactorPolicy::default().without("email").without("backup_code").without("password");
        let totp = Totp::new(vault.clone(), SeededRandomness::new(seed + 1));
        TwoFactor::new(scene.tokens.clone(), vault, policy).with(totp)
    };
    let sign_in = |two_factor: &TwoFactor<_>| {
        scene.clock.advance(chrono::TimeDelta::seconds(30));
        let answer = scene.code(0);
        let ask = Ask::of(&alice, Operation::SignIn, b"").answered(&answer);
        block_on(two_factor.demand(&ask)).map(drop).map_err(|error| error.code())
    };
    // Too early: nobody can open it without the old one.
    assert_eq!(sign_in(&under(&Keyring::new(new()), 10)), Err("second_factor_unavailable"));
    let both = under(&Keyring::new(new()).with_previous(old()), 20);
    assert_eq!(sign_in(&both), Ok(()));
    assert_eq!(sign_in(&under(&Keyring::new(new()), 30)), Ok(()));
    assert_eq!(sign_in(&under(&keyring(), 40)), Err("second_factor_unavailable"));
}

#[test]
fn a_key_can_go_once_every_owner_was_looked_at_and_what_was_worth_little_shuts_nobody_out() {
    let (alice, bob, store) = (alice(), bob(), MemoryStore::default());
    let at = |keyring: &Keyring, seed| {
        let clock = ManualClock::new(sample::start());
        Scene::under(keyring, store.clone(), clock, FactorPolicy::rocketchat(), seed)
    };
    let key = |id: &str, byte| Key::new(KeyId::new(id).unwrap(), &[byte; 32]).unwrap();
    let (old, new) = (keyring(), Keyring::new(key("k2", 8)));
    let before = at(&old, 1).with_email(&alice).with_totp(&bob);
    let session = before.session(&alice);
    let by = By::token(&session);
    // A mailed code, a device, a challenge and backup codes, all under the old key.
    let host = Ask::by(&session, Operation::Host, b"x").from_device(b"laptop");
    let _ = before.demand(&host).unwrap_err();
    let code = Answer::new(before.host.last_code());
    assert!(before.demand(&host.answered(&code)).is_ok());
    let _ = before.demand(&Ask::of(&alice, Operation::SignIn, b"")).unwrap_err();
    let asked = Ask::by(&session, Operation::ChangeFactors, b"regenerate backup_code alice");
    let _ = before.demand(&asked).unwrap_err();
    let code = Answer::new(before.host.last_code());
    let proof = block_on(before.two_factor.demand(&asked.answered(&code))).unwrap();
    let codes = block_on(before.backup.regenerate(&before.two_factor, &alice, proof, by));
    let codes = codes.unwrap().keep_tokens();

    let both = at(&new.clone().with_previous(key("k1", 7)), 2);
    for owner in [&alice, &bob] {
        block_on(both.two_factor.enrolled(owner)).unwrap();
    }
    let after = at(&new, 3);
    assert_eq!(after.sign_in(&bob, &after.code(0)), Ok(answered("totp")));
    let left = Answer::new(codes[0].expose_secret());
    assert_eq!(after.sign_in(&alice, &left), Ok(answered("backup_code")));
    // The device is forgotten and nothing is waiting: nobody is told that it is unavailable.
    let session = after.session(&alice);
    let host = Ask::by(&session, Operation::Host, b"x").from_device(b"laptop");
    assert_eq!(after.demand(&host).unwrap_err().code(), "second_factor_required");
    let left = Answer::new(codes[1].expose_secret());
    assert!(after.demand(&host.answered(&left)).is_ok());
    // What the host brings at each start is known, whoever sealed that.
    assert_eq!(block_on(after.email.import(&alice)).unwrap(), Imported::AsKnown);
    let seed = TotpSeed::from_base32(SEED).unwrap();
    assert_eq!(block_on(after.totp.import(&bob, seed)).unwrap(), Imported::AsKnown);
}

#[test]
fn nothing_that_is_kept_holds_a_seed_a_code_or_its_digest() {
    let alice = alice();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = keyfob::store::sqlite::SqliteStore::open(&path, sample::realm()).unwrap();
    let clock = ManualClock::new(sample::start());
    let scene = Scene::on(store, clock, FactorPolicy::default(), 1).with_email(&alice);
    let session = scene.session(&alice);
    let by = By::token(&session);
    let _ =
        scene.demand(&Ask::by(&session, Operation::ChangeFactors, b"regenerate backup_code alice"));
    let mailed = scene.host.last_code();
    let _ = scene.demand(&Ask::of(&alice, Operation::SignIn, b"")).unwrap_err();
    let waiting = scene.host.last_code();
    let answer = Answer::new(mailed.clone());
    let ask = Ask::by(&session, Operation::ChangeFactors, b"regenerate backup_code alice");
    // The newest code counts alone.
    assert!(scene.demand(&ask.answered(&answer)).is_err());
    let _ = scene.demand(&ask).unwrap_err();
    let answer = Answer::new(scene.host.last_code());
    let proof = block_on(scene.two_factor.demand(&ask.answered(&answer))).unwrap();
    let codes = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof, by));
    let codes = codes.unwrap().keep_tokens();
    let scene = scene.with_totp(&alice);

    let mut kept = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(kept.windows(13).any(|window| window == b"totp.imported"), "another file is kept");
    let seed = data_encoding::BASE32_NOPAD.decode(SEED.as_bytes()).unwrap();
    let mut secrets: Vec<Vec<u8>> = vec![
        seed.clone(),
        SEED.as_bytes().to_vec(),
        data_encoding::BASE64.encode(&seed).into_bytes(),
        b"alice-password".to_vec(),
    ];
    for mailed in [mailed, waiting, scene.host.last_code()] {
        secrets.push(mailed.replace('-', "").into_bytes());
        secrets.push(mailed.into_bytes());
    }
    secrets.extend(codes.iter().map(|code| code.expose_secret().as_bytes().to_vec()));
    assert!(secrets.len() > 20);
    for secret in secrets {
        let found = kept.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{}", String::from_utf8_lossy(&secret));
    }
    // Nor does anything that is shown or told of it.
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        scene.two_factor,
        scene.vault,
        scene.totp,
        scene.email,
        scene.backup,
        codes,
        scene.heard.events(),
    );
    for secret in codes.iter().map(|code| code.expose_secret()).chain([SEED]) {
        assert!(!shown.contains(secret), "{shown}");
    }
}
