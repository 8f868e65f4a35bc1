//! The cluster's certificates: the authorities that the real program makes, with the same names and lifetimes.
//!
//! Keys are P-256, where the real program has RSA: nothing that reads certificates cares.
//! Source: openshift/installer, `pkg/asset/tls`; validities there: ten years, one year, one day.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DECADE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// Names that every certificate of the API's own network has.
const KUBERNETES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// PEM texts by the names of their files in `/opt/openshift/tls`; and those that are in kubeconfigs alone,
/// `admin-kubeconfig-client`, `kubelet-bootstrap-client`.
pub(super) type Pem = BTreeMap<String, String>;

type Authority = CertifiedIssuer<'static, KeyPair>;

struct Maker {
    made_at: Timestamp,
    pem: Pem,
}

/// Makes all of them for a cluster of this domain, as if they were made then.
pub(super) fn make(cluster_domain: &str, made_at: Timestamp) -> Result<Pem, rcgen::Error> {
    let mut maker = Maker { made_at, pem: Pem::new() };
    let (api, api_int) = (format!("api.{cluster_domain}"), format!("api-int.{cluster_domain}"));
    let (api, api_int) = (api.as_str(), api_int.as_str());

    let root = maker.authority("root-ca", DECADE)?;
    maker.pem.remove("root-ca.key");
    maker.server("machine-config-server", &root, DECADE, &[api_int])?;
    maker.server("journal-gatewayd", &root, DECADE, &["journal-gatewayd"])?;

    let lb = maker.authority("kube-apiserver-lb-signer", DECADE)?;
    maker.server("kube-apiserver-lb-server", &lb, DAY * 30, &[api])?;
    maker.server("kube-apiserver-internal-lb-server", &lb, DAY * 30, &[api_int])?;
    let localhost = maker.authority("kube-apiserver-localhost-signer", DECADE)?;
    maker.server("kube-apiserver-localhost-server", &localhost, DAY, &["localhost", "127.0.0.1"])?;
    let service = maker.authority("kube-apiserver-service-network-signer", DECADE)?;
    maker.server("kube-apiserver-service-network-server", &service, DAY, &KUBERNETES)?;

    let admin = maker.authority("admin-kubeconfig-signer", DECADE)?;
    maker.client("admin-kubeconfig-client", &admin, DECADE, "system:admin", "system:masters")?;
    let kubelet = maker.authority("kubelet-signer", DAY)?;
    maker.client(
        "kubelet-client",
        &kubelet,
        DAY,
        "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper",
        "system:serviceaccounts",
    )?;
    let bootstrap = maker.authority("kubelet-bootstrap-kubeconfig-signer", DECADE)?;
    maker.client(
        "kubelet-bootstrap-client",
        &bootstrap,
        DECADE,
        "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper",
        "system:serviceaccounts",
    )?;
    let to_kubelet = maker.authority("kube-apiserver-to-kubelet-signer", YEAR)?;
    maker.client("kube-apiserver-to-kubelet-client", &to_kubelet, YEAR, "system:kube-apiserver", "kube-master")?;
    let control = maker.authority("kube-control-plane-signer", YEAR)?;
    maker.client(
        "kube-control-plane-kube-controller-manager-client",
        &control,
        YEAR,
        "system:admin",
        "system:masters",
    )?;
    maker.client("kube-control-plane-kube-scheduler-client", &control, YEAR, "system:admin", "system:masters")?;
    let aggregator = maker.authority("aggregator-signer", DAY)?;
    maker.client("aggregator-client", &aggregator, DAY, "system:kube-apiserver-proxy", "kube-master")?;
    let aggregator_ca = maker.authority("aggregator-ca", DAY)?;
    maker.client("apiserver-proxy", &aggregator_ca, DAY, "system:kube-apiserver-proxy", "kube-master")?;

    let bundles: [(&str, &[&Authority]); 11] = [
        ("admin-kubeconfig-ca-bundle", &[&admin]),
        ("aggregator-ca-bundle", &[&aggregator]),
        ("kube-apiserver-lb-ca-bundle", &[&lb]),
        ("kube-apiserver-localhost-ca-bundle", &[&localhost]),
        ("kube-apiserver-service-network-ca-bundle", &[&service]),
        ("kube-apiserver-complete-server-ca-bundle", &[&localhost, &service, &lb]),
        ("kube-apiserver-complete-client-ca-bundle", &[&admin, &kubelet, &control, &to_kubelet, &bootstrap]),
        ("kube-apiserver-to-kubelet-ca-bundle", &[&to_kubelet]),
        ("kube-control-plane-ca-bundle", &[&control, &lb, &localhost, &service]),
        ("kubelet-client-ca-bundle", &[&kubelet]),
        ("kubelet-serving-ca-bundle", &[&kubelet]),
    ];
    for (name, authorities) in bundles {
        maker.pem.insert(format!("{name}.crt"), authorities.iter().map(|authority| authority.pem()).collect());
    }
    maker.pem.insert("kubelet-bootstrap-kubeconfig-ca-bundle.crt".into(), bootstrap.pem());
    // These two are in no file of the bootstrap machine.
    for name in ["admin-kubeconfig-signer", "kubelet-bootstrap-kubeconfig-signer"] {
        maker.pem.remove(&format!("{name}.crt"));
        maker.pem.remove(&format!("{name}.key"));
    }
    let account = KeyPair::generate()?;
    maker.pem.insert("service-account.key".into(), account.serialize_pem());
    maker.pem.insert("service-account.pub".into(), account.public_key_pem());
    Ok(maker.pem)
}

impl Maker {
    fn params(
        &self,
        name: &str,
        unit: (DnType, &str),
        lifetime: Duration,
        names: &[&str],
    ) -> Result<CertificateParams, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        let seconds = u64::try_from(self.made_at.as_second()).unwrap_or_default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        params.not_after = params.not_before + lifetime;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(unit.0, unit.1);
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    }

    fn authority(&mut self, name: &str, lifetime: Duration) -> Result<Authority, rcgen::Error> {
        let mut params = self.params(name, (DnType::OrganizationalUnitName, "openshift"), lifetime, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let authority = CertifiedIssuer::self_signed(params, key)?;
        self.keep(name, authority.pem(), key_pem);
        Ok(authority)
    }

    fn server(&mut self, name: &str, by: &Authority, lifetime: Duration, names: &[&str]) -> Result<(), rcgen::Error> {
        let common = names.first().copied().unwrap_or(name);
        let params = self.params(common, (DnType::OrganizationName, "kube-master"), lifetime, names)?;
        self.leaf(name, by, params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(
        &mut self,
        name: &str,
        by: &Authority,
        lifetime: Duration,
        user: &str,
        group: &str,
    ) -> Result<(), rcgen::Error> {
        let params = self.params(user, (DnType::OrganizationName, group), lifetime, &[])?;
        self.leaf(name, by, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn leaf(
        &mut self,
        name: &str,
        by: &Authority,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(), rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, by)?;
        self.keep(name, certificate.pem(), key.serialize_pem());
        Ok(())
    }

    fn keep(&mut self, name: &str, certificate: String, key: String) {
        self.pem.insert(format!("{name}.crt"), certificate);
        self.pem.insert(format!("{name}.key"), key);
    }
}
