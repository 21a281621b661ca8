//! How ssh is told of the director: what the configuration says, `SSH_OPTIONS` among it.

use backup_bosh::Config;
use backup_core::{Doing, Result};
use backup_host::ssh;

use crate::director::unsaid;

/// What `config` says, with another port if one is given.
pub(crate) fn config(config: &Config, port: Option<u16>, accept_new: bool) -> Result<ssh::Config> {
    let address = config.host.as_ref().ok_or_else(|| unsaid("HOST", "the director"))?;
    let mut told = ssh::Config::new(address.name.clone());
    told.port = port.or(address.port);
    told.user = config.user.clone();
    told.identities = config.ssh_private_key.iter().cloned().collect();
    told.accept_new = accept_new;
    for (name, value) in &config.ssh_options {
        told.set(name, value).doing(|| "read SSH_OPTIONS")?;
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backup_bosh::config::Surroundings;

    use super::*;

    fn told(text: &str) -> ssh::Config {
        let around = Surroundings { variable: &|_| None, now: jiff::Zoned::now() };
        let (read, _) = Config::parse("test", text.as_bytes(), &around).expect("a configuration");
        config(&read, None, false).expect("it can be meant")
    }

    #[test]
    fn what_a_configuration_says_is_what_ssh_is_told() {
        let told = told("USER=vcap\nHOST=10.0.0.6:2222\nSSH_PRIVATE_KEY=/srv/keys/director\n");
        assert_eq!((told.user.as_deref(), told.host.as_str(), told.port), (Some("vcap"), "10.0.0.6", Some(2222)));
        assert_eq!(told.identities, ["/srv/keys/director"].map(std::path::PathBuf::from));
        assert_eq!((told.connect_timeout, told.options, told.accept_new), (Duration::from_secs(30), Vec::new(), false));
    }

    #[test]
    fn options_of_ssh_that_have_a_setting_become_it_and_others_are_passed_on() {
        let options =
            "ConnectTimeout=5 BatchMode=yes UserKnownHostsFile=/k ServerAliveInterval=3 Ciphers=aes128-gcm@openssh.com";
        let told = told(&format!("HOST=d\nSSH_OPTIONS='{options}'\n"));
        assert_eq!(told.connect_timeout, Duration::from_secs(5));
        assert_eq!(told.alive_interval, Duration::from_secs(3));
        assert_eq!(told.known_hosts, Some("/k".into()));
        assert_eq!(told.options, ["Ciphers=aes128-gcm@openssh.com"]);
    }
}
