use countermark_migrations::OpenError;

use crate::config::house::{House, origin};
use crate::create::create;

use super::*;

#[tokio::test]
async fn a_log_is_frozen_once_and_stays_so() {
    let house = House::new(&["backup"]);
    let config = house.config();
    create(&config, None, false, &house.outside()).await.unwrap();
    let expected = Frozen { origin: origin("backup"), size: TreeSize::new(1).unwrap() };
    assert_eq!(freeze(&config, "backup").await.unwrap(), expected);
    assert_eq!(freeze(&config, "backup").await.unwrap(), expected);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_not_frozen() {
    let house = House::new(&["backup"]);
    let refused = freeze(&house.config(), "other").await.unwrap_err();
    assert!(matches!(refused, FreezeNamespaceError::UnknownNamespace { .. }), "{refused}");
    let refused = freeze(&house.config(), "backup").await.unwrap_err();
    assert!(
        matches!(refused, FreezeNamespaceError::Database(OpenStoreError::File(OpenError::Missing { .. }))),
        "{refused}"
    );
}
