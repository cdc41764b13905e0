//! Deleting a group whose coordinator answers by script.

use super::super::*;
use super::fake::{Call, Fake, LONG, Reply, range, versions};
use crate::wire::api_versions::ApiVersions;
use crate::wire::delete_groups::{DeletableGroupResult, DeleteGroups, DeleteGroupsResponse};
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorResponse};
use crate::wire::metadata::Metadata;
use crate::wire::{ApiKey, ErrorCode};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What comes of deleting the group `g`, whose coordinator says `told` of it, the first time after having hung up.
async fn deleted(hang_up: bool, told: Option<ErrorCode>) -> Result<(), ClientError> {
    let hang_ups = AtomicUsize::new(usize::from(!hang_up));
    let fake = Fake::start(move |call: &Call| match call.key() {
        Some(ApiKey::ApiVersions) => Some(call.answer::<ApiVersions>(&versions(&[
            range::<ApiVersions>(),
            range::<Metadata>(),
            range::<FindCoordinator>(),
            range::<DeleteGroups>(),
        ]))),
        Some(ApiKey::FindCoordinator) => {
            let (host, port) = (call.here.ip().to_string(), call.here.port().into());
            let found = FindCoordinatorResponse { node_id: 1, host, port, ..Default::default() };
            Some(call.answer::<FindCoordinator>(&found))
        }
        Some(ApiKey::DeleteGroups) if hang_ups.fetch_add(1, Ordering::SeqCst) == 0 => Some(Reply::Close),
        Some(ApiKey::DeleteGroups) => {
            let one = |code: ErrorCode| DeletableGroupResult { group_id: "g".to_owned(), error_code: code.code() };
            Some(call.answer::<DeleteGroups>(&DeleteGroupsResponse {
                results: told.map(one).into_iter().collect(),
                ..Default::default()
            }))
        }
        _ => None,
    })
    .await;
    Cluster::connect(&fake.bootstrap(), LONG).await.unwrap().delete_group("g").await
}

#[tokio::test]
async fn only_an_answer_about_the_group_says_that_it_is_deleted() {
    deleted(false, Some(ErrorCode::None)).await.unwrap();
    let error = deleted(false, None).await.unwrap_err();
    assert!(matches!(&error, ClientError::Protocol { api: "DeleteGroups", .. }), "{error:?}");
}

#[tokio::test]
async fn a_group_that_is_not_there_is_deleted_only_where_an_answer_may_have_been_lost() {
    let error = deleted(false, Some(ErrorCode::GroupIdNotFound)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupIdNotFound));
    deleted(true, Some(ErrorCode::GroupIdNotFound)).await.unwrap();
}
