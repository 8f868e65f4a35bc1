//! The inventory agent.
