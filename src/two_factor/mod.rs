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

pub use self::backup_codes::{BackupCode, BackupCodes};
pub use self::email::{CodeShape, EmailCode};
pub use self::otp::{Algorithm, Digits};
pub use self::otpauth::OtpAuth;
pub use self::password::Password;
pub use self::sealer::AeadSealer;
pub use self::seed::TotpSeed;
pub use self::totp::{Totp, Window};
