//! Rotating tokens.

use crate::core::change::Presenter;
use crate::core::error::{IssueError, RotateError};
use crate::core::factor::TwoFactorProof;
use crate::core::id::TokenId;
use crate::core::rotation::{Rotation, may_rotate, rotate};
use crate::core::scope::Scope;
use crate::core::secret::TokenSecret;
use crate::core::token::TokenRecord;
use crate::ports::entropy::Generator;
use crate::service::change::{TRIES, contended};
use crate::service::error::ChangeFailure;
use crate::service::{By, Tokens};

impl<S: Scope> Tokens<S> {
    /// Gives a token a new secret; returns it, to be shown once, and the row.
    ///
    /// The replaced secret goes on working for the overlap, and not beyond the expiry it had. A
    /// caller that presents a token is judged anew, in the step that stores the new secret, and
    /// gets no more out of it than it could issue.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn rotate(
        &self,
        id: TokenId,
        rotation: Rotation,
        by: By<'_>,
    ) -> Result<(TokenSecret, TokenRecord), ChangeFailure> {
        self.rotate_proved(id, rotation, None, by).await
    }

    /// [`rotate`](Tokens::rotate) with the proof that a second factor was answered for it, where
    /// the token's kind takes one.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn rotate_proved(
        &self,
        id: TokenId,
        rotation: Rotation,
        proof: Option<TwoFactorProof>,
        by: By<'_>,
    ) -> Result<(TokenSecret, TokenRecord), ChangeFailure> {
        let inner = &*self.inner;
        let actor = inner.actor(by)?;
        for _ in 0..TRIES {
            let presented = inner.presented(by).await?;
            let row = inner.reach(id, by).await?.record;
            let mut generator = Generator(&*inner.entropy);
            let now = inner.now().await?;
            let is_proved = rotation.is_proved(&row, proof.as_ref(), &actor, now);
            if inner.rules.policy.of(&row.kind).second_factor && !is_proved {
                return Err(RotateError::from(IssueError::NotProved).into());
            }
            if let Some(presented) = &presented {
                may_rotate::<S>(presented, &row, rotation, is_proved, &inner.rules)
                    .map_err(RotateError::from)?;
            }
            let rotated = rotate(&row, rotation, actor.clone(), &inner.rules, now, &mut generator)?;
            let presenter = presented.as_ref().map(Presenter::of);
            let change = rotated.change.presented_by(presenter);
            if let Some(row) = inner.apply(&change).await? {
                return Ok((rotated.secret, row));
            }
        }
        Err(contended())
    }
}
