//! Requests to an API, each within its time, and lists within their number.

use std::time::Duration;

use hyper::Request as HttpRequest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{GetParams, ListParams, Patch, PatchParams, PostParams, Request};
use kube::{Client, Resource};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use super::error::KubernetesError;
use super::objects::{self, Conditions, SCHEDULERS};

/// Objects that are asked for at a time: two hundred nodes are some 4 MB.
const PAGE: u32 = 200;
/// Most pages of one list.
const MAX_PAGES: usize = 50;

/// An API, and how long one answer may take.
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) limit: Duration,
}

/// A page of a list.
#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

/// Where the objects of one of Kubernetes's own kinds are.
fn place<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> (Request, String) {
    (Request::new(K::url_path(&(), namespace)), K::plural(&()).into_owned())
}

/// Where the objects of one of OpenShift's kinds are: their path ends in their plural.
fn place_of(path: &str) -> (Request, String) {
    (Request::new(path), path.rsplit('/').next().unwrap_or(path).to_owned())
}

type Built = Result<HttpRequest<Vec<u8>>, kube::core::request::Error>;

impl Api {
    /// Sends a request, once, and gives its answer's text; `what` names what is asked for.
    async fn text(&self, what: &str, request: Built) -> Result<String, KubernetesError> {
        let request = request.map_err(|source| KubernetesError::Request { what: what.to_owned(), source })?;
        match timeout(self.limit, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| KubernetesError::of(what, error)),
            Err(_) => Err(KubernetesError::TimedOut { what: what.to_owned(), after: self.limit }),
        }
    }

    async fn json<T: DeserializeOwned>(&self, what: &str, request: Built) -> Result<T, KubernetesError> {
        let text = self.text(what, request).await?;
        serde_json::from_str(&text).map_err(|source| KubernetesError::NotUnderstood { what: what.to_owned(), source })
    }

    /// Whether it says that it is ready: it answers with an error where it is not.
    pub(super) async fn is_ready(&self) -> Result<bool, KubernetesError> {
        let request = HttpRequest::get("/readyz").body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
        match self.text("/readyz", request).await {
            Ok(text) if text.trim() == "ok" => Ok(true),
            Ok(_) => Err(KubernetesError::NoApi { what: "/readyz".to_owned() }),
            Err(KubernetesError::Status { code: 500.., .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn list_at<T: DeserializeOwned>(
        &self,
        (request, what): (Request, String),
        mut params: ListParams,
    ) -> Result<Vec<T>, KubernetesError> {
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            params.limit = Some(PAGE);
            let page: List<T> = self.json(&what, request.list(&params)).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params.continue_token = Some(next),
                None => return Ok(found),
            }
        }
        Err(KubernetesError::TooMany { what, max: MAX_PAGES * PAGE as usize })
    }

    async fn get_at<T: DeserializeOwned>(
        &self,
        (request, what): (Request, String),
        name: &str,
    ) -> Result<Option<T>, KubernetesError> {
        match self.json(&format!("{what}/{name}"), request.get(name, &GetParams::default())).await {
            Err(KubernetesError::Status { code: 404, .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn patch_at(
        &self,
        (request, what): (Request, String),
        name: &str,
        change: &Value,
    ) -> Result<(), KubernetesError> {
        let request = request.patch(name, &PatchParams::default(), &Patch::Merge(change));
        // What became of it is read again.
        self.json::<IgnoredAny>(&format!("{what}/{name}"), request).await.map(|_| ())
    }

    /// All objects of one of Kubernetes's own kinds.
    pub(super) async fn list<K>(&self, namespace: Option<&str>, params: ListParams) -> Result<Vec<K>, KubernetesError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.list_at(place::<K>(namespace), params).await
    }

    /// One object of one of Kubernetes's own kinds, if there is one.
    pub(super) async fn get<K>(&self, namespace: Option<&str>, name: &str) -> Result<Option<K>, KubernetesError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.get_at(place::<K>(namespace), name).await
    }

    /// Merges a change into one object of one of Kubernetes's own kinds.
    pub(super) async fn patch<K>(
        &self,
        namespace: Option<&str>,
        name: &str,
        change: &Value,
    ) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.patch_at(place::<K>(namespace), name, change).await
    }

    /// Replaces a part of one object of one of Kubernetes's own kinds; refused, where the object was changed since.
    pub(super) async fn replace_part<K>(&self, part: &str, name: &str, object: &K) -> Result<(), KubernetesError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (request, what) = place::<K>(None);
        let what = format!("{what}/{name}/{part}");
        let body =
            serde_json::to_vec(object).map_err(|source| KubernetesError::NotWritten { what: what.clone(), source });
        let request = request.replace_subresource(part, name, &PostParams::default(), body?);
        self.json::<IgnoredAny>(&what, request).await.map(|_| ())
    }

    /// All objects at a path.
    pub(super) async fn list_of(&self, path: &str) -> Result<Vec<Conditions>, KubernetesError> {
        self.list_at(place_of(path), ListParams::default()).await
    }

    /// One object at a path, if there is one.
    pub(super) async fn get_of(&self, path: &str, name: &str) -> Result<Option<Conditions>, KubernetesError> {
        self.get_at(place_of(path), name).await
    }

    /// Whether masters run workloads.
    pub(super) async fn scheduler(&self) -> Result<bool, KubernetesError> {
        let found: Option<objects::Scheduler> = self.get_at(place_of(SCHEDULERS), "cluster").await?;
        let found = found.ok_or_else(|| KubernetesError::Missing { what: "schedulers/cluster".to_owned() })?;
        Ok(found.spec.masters_schedulable)
    }

    /// Merges a change into the scheduler's configuration.
    pub(super) async fn patch_scheduler(&self, change: &Value) -> Result<(), KubernetesError> {
        self.patch_at(place_of(SCHEDULERS), "cluster", change).await
    }
}
