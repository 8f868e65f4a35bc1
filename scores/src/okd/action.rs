//! What the steps of an OKD installation do, and what a site must offer for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use harmony_core::capability::{
    Bmc, BootAssets, Cluster, ClusterInstaller, DhcpServer, DnsRecord, DnsServer, HostControl, HostDiscovery,
    InstallerInput, LbService, LoadBalancer, ProvisioningNetwork, PxeServer, RemoteFile, Reservation, Switch, Topology,
};
use harmony_core::host::{Assignment, HostId};
use harmony_core::net::{DnsName, Hostname};
use serde::{Deserialize, Serialize};

use crate::host_provisioning::ProvisioningAction;
use crate::inventory::InventoryAction;

/// A site on which a cluster can be installed: everything but what some clusters do without.
pub trait OkdSite:
    Topology
    + ProvisioningNetwork
    + Switch
    + DhcpServer
    + DnsServer
    + LoadBalancer
    + PxeServer
    + BootAssets
    + Bmc
    + HostControl
    + HostDiscovery
    + ClusterInstaller
    + Cluster
{
}

impl<T> OkdSite for T where
    T: Topology
        + ProvisioningNetwork
        + Switch
        + DhcpServer
        + DnsServer
        + LoadBalancer
        + PxeServer
        + BootAssets
        + Bmc
        + HostControl
        + HostDiscovery
        + ClusterInstaller
        + Cluster
{
}

/// A host of the cluster, by name and address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in full.
    pub name: Hostname,
    /// Its address.
    pub address: IpAddr,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum OkdAction {
    /// Finds out more of the hosts that there are.
    Find {
        /// What.
        action: InventoryAction,
    },
    /// Gives a host a role.
    Assign {
        /// The host.
        host: HostId,
        /// The role.
        assignment: Assignment,
    },
    /// What every provisioned host goes through.
    Host {
        /// Which part of it.
        action: ProvisioningAction,
    },
    /// Bundles a master's ports, once the others hold the quorum of etcd without it.
    BundleMaster {
        /// The bundle, as for any host.
        action: ProvisioningAction,
        /// All masters.
        masters: Vec<Hostname>,
    },
    /// Keeps an address for a host.
    Reserve {
        /// The reservation.
        reservation: Reservation,
    },
    /// Puts a file of the release where the boot server offers it.
    FetchAsset {
        /// From where.
        from: RemoteFile,
        /// Below `/os/`.
        path: String,
    },
    /// Has the installer make what the machines are given.
    MakeArtefacts {
        /// Of what.
        input: InstallerInput,
        /// Which generation this makes.
        generation: u32,
    },
    /// Makes or replaces a DNS record.
    SetDns {
        /// The record.
        record: DnsRecord,
    },
    /// Removes a DNS record.
    RemoveDns {
        /// Its name.
        name: DnsName,
    },
    /// Makes or replaces services of the load balancer.
    SetServices {
        /// The services.
        services: Vec<LbService>,
    },
    /// Waits until the bootstrap serves what masters ask for.
    AwaitServing {
        /// The bootstrap.
        bootstrap: Member,
    },
    /// Waits until the control plane runs on the masters.
    AwaitBootstrapComplete {
        /// The masters.
        masters: Vec<Member>,
    },
    /// The bootstrap leaves DHCP and network boot.
    RetireBootstrap {
        /// Its host.
        host: HostId,
        /// Its name.
        name: Hostname,
    },
    /// The host that was the bootstrap gives its role back.
    Release {
        /// The host.
        host: HostId,
    },
    /// Wipes the disk that a released host's order wrote, and lets the host be free.
    Wipe {
        /// The host.
        host: HostId,
        /// The disk's serial.
        serial: String,
    },
    /// Approves the certificates of hosts with an order until they are ready nodes.
    Admit {
        /// The hosts that are to become nodes.
        awaited: Vec<Member>,
        /// All hosts with an order.
        members: Vec<Member>,
    },
    /// Sets whether masters run workloads.
    SetSchedulable {
        /// Whether they do.
        schedulable: bool,
    },
    /// Moves the routers to the workers.
    MoveIngress {
        /// The workers.
        workers: Vec<Hostname>,
    },
    /// Waits until the cluster is installed.
    AwaitInstallComplete,
}

/// Facts that plans name, by their names.
pub(super) type Facts = BTreeMap<String, String>;
