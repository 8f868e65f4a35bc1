//! The resources that there are, and where.

/// A resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Nodes,
    RouterPods,
    KubeSystemConfigMaps,
    CertificateRequests,
    ClusterOperators,
    ClusterVersions,
    Schedulers,
    Pools,
    IngressDeployments,
}

/// One object, all of a resource, or a part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) resource: Resource,
    pub(super) name: Option<&'a str>,
    pub(super) part: Option<&'a str>,
}

impl Resource {
    const ALL: [Self; 9] = [
        Self::Nodes,
        Self::RouterPods,
        Self::KubeSystemConfigMaps,
        Self::CertificateRequests,
        Self::ClusterOperators,
        Self::ClusterVersions,
        Self::Schedulers,
        Self::Pools,
        Self::IngressDeployments,
    ];

    /// Group and version, kind, namespace, plural.
    fn names(self) -> (&'static str, &'static str, Option<&'static str>, &'static str) {
        match self {
            Self::Nodes => ("v1", "Node", None, "nodes"),
            Self::RouterPods => ("v1", "Pod", Some("openshift-ingress"), "pods"),
            Self::KubeSystemConfigMaps => ("v1", "ConfigMap", Some("kube-system"), "configmaps"),
            Self::CertificateRequests => {
                ("certificates.k8s.io/v1", "CertificateSigningRequest", None, "certificatesigningrequests")
            }
            Self::ClusterOperators => ("config.openshift.io/v1", "ClusterOperator", None, "clusteroperators"),
            Self::ClusterVersions => ("config.openshift.io/v1", "ClusterVersion", None, "clusterversions"),
            Self::Schedulers => ("config.openshift.io/v1", "Scheduler", None, "schedulers"),
            Self::Pools => ("machineconfiguration.openshift.io/v1", "MachineConfigPool", None, "machineconfigpools"),
            Self::IngressDeployments => ("apps/v1", "Deployment", Some("openshift-ingress"), "deployments"),
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        self.names().0
    }

    pub(super) fn kind(self) -> &'static str {
        self.names().1
    }

    pub(super) fn namespace(self) -> Option<&'static str> {
        self.names().2
    }

    /// As errors name an object of it: `nodes "worker-0"`.
    pub(super) fn called(self, name: &str) -> String {
        format!("{} \"{name}\"", self.names().3)
    }

    /// Where all of it is.
    pub(super) fn path(self) -> String {
        let (version, _, namespace, plural) = self.names();
        // The oldest group has no name. Source: Kubernetes documentation, "API groups".
        let root = if version == "v1" { "/api" } else { "/apis" };
        let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}/{version}{namespace}/{plural}")
    }
}

/// What a path means.
pub(super) fn target(path: &str) -> Option<Target<'_>> {
    Resource::ALL.into_iter().find_map(|resource| {
        let mut rest = path.strip_prefix(&resource.path())?.trim_end_matches('/').split('/');
        if rest.next() != Some("") {
            return None;
        }
        let target = Target { resource, name: rest.next(), part: rest.next() };
        rest.next().is_none().then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let names = |path| target(path).map(|target| (target.resource, target.name, target.part));
        assert_eq!(names("/api/v1/nodes"), Some((Resource::Nodes, None, None)));
        assert_eq!(names("/api/v1/nodes/a.b"), Some((Resource::Nodes, Some("a.b"), None)));
        let approval = "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-1/approval";
        assert_eq!(names(approval), Some((Resource::CertificateRequests, Some("csr-1"), Some("approval"))));
        let router = "/apis/apps/v1/namespaces/openshift-ingress/deployments/router-default";
        assert_eq!(names(router), Some((Resource::IngressDeployments, Some("router-default"), None)));
        for unknown in ["/api/v1/nodesx", "/api/v1/pods", "/", "/api/v1/nodes/a/b/c", "/apis/v1/nodes"] {
            assert_eq!(names(unknown), None, "{unknown}");
        }
    }
}
