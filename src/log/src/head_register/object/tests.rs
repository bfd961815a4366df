use countermark_tests::s3_server::S3Server;

use super::super::contract::{self, head, origin};
use super::*;
use crate::objects::contract::bucket;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    let server = S3Server::start();
    let objects = bucket(&server, "register", PATIENCE);
    let open = || -> Arc<dyn HeadRegister> { Arc::new(ObjectRegister::over(bucket(&server, "register", PATIENCE))) };
    contract::check(open, async |name, bytes| objects.put(&name, bytes).await.unwrap()).await;
}

#[tokio::test]
async fn an_unreachable_server_is_a_fault_and_never_an_absence() {
    let mut server = S3Server::start();
    let register = ObjectRegister::over(bucket(&server, "register", Duration::from_secs(1)));
    assert_eq!(register.read(&origin()).await.unwrap(), None);
    let check = async || {
        assert!(register.read(&origin()).await.is_err());
        let swapped = register.compare_and_swap(&origin(), None, &head(1)).await;
        assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
    };
    server.pause();
    check().await;
    server.resume();
    server.kill();
    check().await;
}

#[tokio::test]
async fn a_swap_that_comes_too_late_changes_nothing() {
    let server = S3Server::start();
    let register = ObjectRegister::over(bucket(&server, "register", PATIENCE));
    register.compare_and_swap(&origin(), None, &head(1)).await.unwrap();
    let impatient = ObjectRegister::over(bucket(&server, "register", Duration::from_secs(1)));
    server.pause();
    let swapped = impatient.compare_and_swap(&origin(), Some(&head(1)), &head(2)).await;
    assert!(matches!(swapped, Err(RegisterError::Fault(_))), "{swapped:?}");
    server.resume();
    register.compare_and_swap(&origin(), Some(&head(1)), &head(3)).await.unwrap();
    assert_eq!(register.read(&origin()).await.unwrap(), Some(head(3)));
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let server = S3Server::start();
    let honest = bucket(&server, "register", PATIENCE);
    for _ in 0..2 {
        assert!(honours_conditions(honest.as_ref()).await.unwrap());
    }
    let careless = Careless(honest);
    assert!(!honours_conditions(&careless).await.unwrap());
}

/// Writes whatever it is told, whatever is there.
#[derive(Debug)]
struct Careless(Arc<dyn Objects>);

impl Objects for Careless {
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>> {
        self.0.get(key, bytes_max)
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>> {
        self.0.put(key, bytes)
    }

    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>> {
        self.0.settle()
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        _expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>> {
        Box::pin(async move { Ok(self.0.put(key, bytes).await?) })
    }

    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>> {
        self.0.remove_folder(folder)
    }

    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>> {
        self.0.folders()
    }
}
