//! Methods of answering a second factor, and the key that their secrets are sealed with.
//!
//! Each is a [`TwoFactorVerifier`](crate::ports::two_factor::TwoFactorVerifier) over a
//! [`Vault`](crate::service::two_factor::Vault), for a
//! [`TwoFactor`](crate::service::two_factor::TwoFactor) to ask.

mod backup_codes;
mod drawn;
mod email;
pub mod otp;
mod otpauth;
mod password;
mod sealer;
mod seed;
mod totp;
mod window;

pub use self::backup_codes::{BackupCode, BackupCodes};
pub use self::email::{CodeShape, EmailCode};
pub use self::otp::{Algorithm, Digits};
pub use self::otpauth::OtpAuth;
pub use self::password::Password;
pub use self::sealer::AeadSealer;
pub use self::seed::TotpSeed;
pub use self::totp::Totp;
pub use self::window::Window;

/// What became of a factor that a host brings at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is given, or there, or another one is")]
pub enum Imported {
    /// The store knew of none: the owner has it now.
    Given,
    /// The owner has it, since an earlier start.
    AsKnown,
    /// The store knows better: the owner has changed it since, or it was taken away.
    Differs,
}
