//! The one user of a key in a token: opens a session when it needs one, and again when the token was gone.

use std::sync::Arc;

use super::module::Module;
use super::pin::Pin;
use super::reference::UntrustedReference;
use super::session::{Access, TokenKey, TokenSession};
use super::{CreateInTokenError, TokenError};

/// A reference, its PIN, and the session that is open now.
pub(super) struct Owner {
    reference: UntrustedReference,
    pin: Pin,
    module: Option<Arc<Module>>,
    open: Option<(TokenSession, TokenKey)>,
    /// Why the PIN is not tried again.
    pin_refused: Option<TokenError>,
}

impl Owner {
    pub(super) const fn new(reference: UntrustedReference, pin: Pin) -> Self {
        Self { reference, pin, module: None, open: None, pin_refused: None }
    }

    pub(super) const fn reference(&self) -> &UntrustedReference {
        &self.reference
    }

    /// Opens the session if there is none, so that whoever starts is told what is wrong.
    pub(super) fn open(&mut self) -> Result<(), TokenError> {
        self.again(|_session, _key, _reference| Ok(()))
    }

    /// Signs `message`.
    pub(super) fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.again(|session, key, reference| session.sign(key, reference, message))
    }

    /// Makes the key of the reference inside the token; the reference has its public key then.
    pub(super) fn generate(&mut self) -> Result<(), CreateInTokenError> {
        let module = self.module().map_err(CreateInTokenError::Token)?;
        let entered = module.enter().map_err(CreateInTokenError::Token)?;
        let token = &self.reference.token;
        let session = TokenSession::open(entered.context, entered.life, token, &self.pin, Access::Write)
            .map_err(CreateInTokenError::Token)?;
        let made = session.generate(&self.reference);
        if matches!(made, Err(CreateInTokenError::LabelTaken { .. } | CreateInTokenError::Token(_))) {
            // By its random CKA_ID: nothing that was there before is touched.
            let _ = session.destroy(&self.reference);
        }
        session.close();
        self.reference.public_key = made?;
        Ok(())
    }

    /// Removes the key that [`Owner::generate`] made.
    pub(super) fn destroy(&mut self) -> Result<(), TokenError> {
        let module = self.module()?;
        let entered = module.enter()?;
        let token = &self.reference.token;
        let session = TokenSession::open(entered.context, entered.life, token, &self.pin, Access::Write)?;
        let removed = session.destroy(&self.reference);
        session.close();
        removed
    }

    /// Uses the key, at most three times: with the session that is open, with a new one, and with one of the library's
    /// next life, which finds a token that came back. A PIN that was refused ends it at once and for good.
    fn again<T>(
        &mut self,
        mut use_key: impl FnMut(&TokenSession, TokenKey, &UntrustedReference) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if let Some(refused) = self.pin_refused {
            return Err(refused);
        }
        if self.open.is_some()
            && let Ok(used) = self.once(&mut use_key)
        {
            return Ok(used);
        }
        self.close();
        let module = self.module()?;
        let life = module.life();
        let failed = match self.once(&mut use_key) {
            Ok(used) => return Ok(used),
            Err(failed) => failed,
        };
        self.close();
        if !failed.may_pass() || !module.renew(life) {
            return Err(failed);
        }
        self.once(&mut use_key).inspect_err(|_failed| self.close())
    }

    fn once<T>(
        &mut self,
        use_key: &mut impl FnMut(&TokenSession, TokenKey, &UntrustedReference) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if let Some(refused) = self.pin_refused {
            return Err(refused);
        }
        let module = self.module()?;
        let entered = module.enter()?;
        // A session of an earlier life is forgotten: it ended with that life.
        if self.open.as_ref().is_some_and(|(session, _key)| session.life != entered.life) {
            self.open = None;
        }
        if self.open.is_none() {
            let token = &self.reference.token;
            let session = TokenSession::open(entered.context, entered.life, token, &self.pin, Access::Read)
                .inspect_err(|error| self.pin_refused = error.is_of_the_pin().then_some(*error))?;
            match session.find_key(&self.reference) {
                Ok(key) => self.open = Some((session, key)),
                Err(refused) => {
                    session.close();
                    return Err(refused);
                }
            }
        }
        let (session, key) = self.open.as_ref().expect("opened above");
        use_key(session, *key, &self.reference)
    }

    /// Ends the session, if its library still lives the same life.
    fn close(&mut self) {
        let Some((session, _key)) = self.open.take() else { return };
        let Some(module) = &self.module else { return };
        if let Ok(entered) = module.enter()
            && entered.life == session.life
        {
            session.close();
        }
    }

    fn module(&mut self) -> Result<Arc<Module>, TokenError> {
        if let Some(module) = &self.module {
            return Ok(Arc::clone(module));
        }
        let module = Module::load(&self.reference.module)?;
        self.module = Some(Arc::clone(&module));
        Ok(module)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
