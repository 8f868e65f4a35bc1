//! The commands: options, arguments, and what each does.
//!
//! Source: iPXE `src/core/parseopt.c` and `getopt.c` for options, which come before all arguments;
//! `src/hci/commands/{image,nvo,dhcp,ifmgmt,sanboot,reboot}_cmd.c` for what they do.

use std::time::Duration;

use super::image::{Image, Kind};
use super::script::resolve;
use super::settings::integer;
use super::{Action, Answer, Ipxe, Stop};
use harmony_core::secret::Secret;

/// Lines that `echo` may leave before somebody takes them.
const MAX_CONSOLE_LINES: usize = 1000;
/// Images that may be registered.
const MAX_IMAGES: usize = 64;

/// What iPXE has, and this has not.
const NOT_SIMULATED: &[&str] = &[
    "autoboot",
    "choose",
    "config",
    "digest",
    "form",
    "help",
    "ibstat",
    "imgdecrypt",
    "imgextract",
    "imgmem",
    "imgtrust",
    "imgverify",
    "item",
    "login",
    "lotest",
    "md5sum",
    "menu",
    "neighbour",
    "nslookup",
    "nstat",
    "ntp",
    "param",
    "params",
    "pciscan",
    "ping",
    "present",
    "profstat",
    "pxebs",
    "read",
    "sanhook",
    "sanunhook",
    "sha1sum",
    "shim",
    "startpxe",
    "stoppxe",
    "time",
    "ucode",
    "usbscan",
    "vcreate",
    "vdestroy",
];

/// What a command leads to.
pub(super) enum Flow {
    /// It is through.
    Ended(Result<(), String>),
    /// `exit`, with its status.
    Exit(u32),
    /// Something has to be done first.
    Wait(Action, Pending),
    /// An image runs, and then this command is through.
    Execute(Image),
}

/// A command that waits for an answer.
pub(super) enum Pending {
    /// Any answer but a failure is success.
    Plain,
    /// A key, which nobody presses.
    Key,
    Lease,
    Open(Vec<usize>),
    Image {
        url: String,
        options: ImageOptions,
    },
}

/// What is done with an image once it is there.
pub(super) struct ImageOptions {
    act: Act,
    name: Option<String>,
    /// Arguments; absent: those that it has.
    cmdline: Option<String>,
    autofree: bool,
    replace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Fetch,
    Select,
    Arguments,
    Execute,
}

/// An option: its long name, its letter, whether it has a value.
type Spec = (&'static str, char, bool);

const IMAGE: &[Spec] = &[("name", 'n', true), ("timeout", 't', true), ("autofree", 'a', false)];
const EXECUTE: &[Spec] =
    &[("name", 'n', true), ("timeout", 't', true), ("autofree", 'a', false), ("replace", 'r', false)];

/// A command's options and arguments.
struct Parsed {
    options: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

impl Parsed {
    /// Source: iPXE `src/core/getopt.c`: the first word that is no option ends the options.
    fn parse(argv: &[String], known: &[Spec], fewest: usize, most: usize) -> Result<Self, String> {
        let mut words = argv.iter().skip(1).peekable();
        let mut options = Vec::new();
        while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with('-')) {
            if word == "--" {
                break;
            }
            let (shown, spec, value) = match word.strip_prefix("--") {
                Some(long) => {
                    let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                    (format!("--{name}"), known.iter().find(|spec| spec.0 == name), value)
                }
                None => {
                    let letter = word.chars().nth(1).unwrap_or_default();
                    let value = word.get(1 + letter.len_utf8()..).filter(|rest| !rest.is_empty());
                    (format!("-{letter}"), known.iter().find(|spec| spec.1 == letter), value)
                }
            };
            let (name, _, has_value) = spec.ok_or_else(|| format!("Unrecognised option \"{shown}\""))?;
            let value = match (has_value, value) {
                (true, Some(value)) => value.to_owned(),
                (true, None) => {
                    words.next().cloned().ok_or_else(|| format!("Option \"{shown}\" requires an argument"))?
                }
                (false, None) => String::new(),
                (false, Some(_)) => return Err(format!("Unrecognised option \"{word}\"")),
            };
            options.push((*name, value));
        }
        let arguments: Vec<String> = words.cloned().collect();
        if !(fewest..=most).contains(&arguments.len()) {
            return Err(format!("it has {} arguments; see https://ipxe.org/cmd/{}", arguments.len(), argv[0]));
        }
        Ok(Self { options, arguments })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.options.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds. Source: iPXE `parse_timeout`.
    fn timeout(&self) -> Result<Option<Duration>, String> {
        let Some(text) = self.get("timeout") else { return Ok(None) };
        let millis = integer(text).and_then(|number| u64::try_from(number).ok());
        Ok(Some(Duration::from_millis(millis.ok_or_else(|| format!("\"{text}\": invalid integer value"))?)))
    }
}

impl Ipxe {
    /// Carries out a command whose words are expanded.
    pub(super) fn command(&mut self, argv: &[String]) -> Flow {
        self.try_command(argv).unwrap_or_else(|reason| Flow::Ended(Err(reason)))
    }

    fn try_command(&mut self, argv: &[String]) -> Result<Flow, String> {
        let done = Ok(Flow::Ended(Ok(())));
        let parse = |known: &[Spec], fewest, most| Parsed::parse(argv, known, fewest, most);
        let many = usize::MAX;
        let Some(name) = argv.first() else { return done };
        match name.as_str() {
            "echo" => {
                let line = parse(&[("n", 'n', false)], 0, many)?.arguments.join(" ");
                if self.console.len() < MAX_CONSOLE_LINES {
                    self.console.push(line);
                }
                done
            }
            "set" => {
                let arguments = parse(&[], 1, many)?.arguments;
                Ok(Flow::Ended(self.settings.set(&arguments[0], &arguments[1..].join(" "))))
            }
            "clear" => Ok(Flow::Ended(self.settings.set(&parse(&[], 1, 1)?.arguments[0], ""))),
            "inc" => {
                let arguments = parse(&[], 1, 2)?.arguments;
                let by = arguments.get(1).map_or(Ok(1), |text| number(text))?;
                Ok(Flow::Ended(self.settings.increment(&arguments[0], by)))
            }
            "show" => {
                let name = &parse(&[], 1, 1)?.arguments[0];
                let value = self.settings.get(name).ok_or_else(|| format!("Could not find \"{name}\""))?;
                self.console.push(format!("{name} = {value}"));
                done
            }
            "isset" => {
                let is_set = !parse(&[], 1, 1)?.arguments[0].is_empty();
                Ok(Flow::Ended(if is_set { Ok(()) } else { Err("it is not set".to_owned()) }))
            }
            "iseq" => {
                let arguments = parse(&[], 2, 2)?.arguments;
                let is_equal = arguments[0] == arguments[1];
                Ok(Flow::Ended(if is_equal { Ok(()) } else { Err("they differ".to_owned()) }))
            }
            "goto" => self.goto(&parse(&[], 1, 1)?.arguments[0]),
            "exit" => {
                let status = parse(&[], 0, 1)?.arguments.first().map_or(Ok(0), |text| number(text))?;
                self.stop = Stop::Script;
                Ok(Flow::Exit(u32::try_from(status).unwrap_or(1)))
            }
            "sleep" => {
                let seconds = number(&parse(&[], 1, 1)?.arguments[0])?;
                let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                Ok(Flow::Wait(Action::Sleep(time), Pending::Plain))
            }
            "dhcp" | "ifconf" => {
                let known = &[("configurator", 'c', true), ("timeout", 't', true)];
                let nics = self.nics(&parse(known, 0, many)?.arguments)?;
                Ok(Flow::Wait(Action::Dhcp(nics), Pending::Lease))
            }
            "ifopen" => {
                let nics = self.nics(&parse(&[], 0, many)?.arguments)?;
                Ok(Flow::Wait(Action::Open(nics.clone()), Pending::Open(nics)))
            }
            "ifclose" => {
                let nics = self.nics(&parse(&[], 0, many)?.arguments)?;
                Ok(Flow::Wait(Action::Close(nics), Pending::Plain))
            }
            "iflinkwait" | "ifstat" => {
                self.nics(&parse(&[("timeout", 't', true)], 0, many)?.arguments)?;
                done
            }
            "route" | "ipstat" | "sync" | "colour" | "color" | "cpair" | "console" | "cpuid" => done,
            "imgfetch" | "module" | "initrd" => self.image(&parse(IMAGE, 1, many)?, Act::Fetch),
            "kernel" | "imgselect" | "imgload" => self.image(&parse(IMAGE, 1, many)?, Act::Select),
            "imgargs" => self.image(&parse(IMAGE, 1, many)?, Act::Arguments),
            "chain" | "imgexec" | "boot" => self.image(&parse(EXECUTE, 0, many)?, Act::Execute),
            "imgstat" => self.each_image(&parse(&[], 0, many)?.arguments, |_, _| {}).map(|()| Flow::Ended(Ok(()))),
            "imgfree" => {
                let names = parse(&[], 0, many)?.arguments;
                if names.is_empty() {
                    self.images.free_all();
                }
                self.each_image(&names, |ipxe, name| ipxe.images.free(name)).map(|()| Flow::Ended(Ok(())))
            }
            "sanboot" => {
                let known = &[
                    ("drive", 'd', true),
                    ("no-describe", 'n', false),
                    ("keep", 'k', false),
                    ("filename", 'f', true),
                    ("extra", 'e', true),
                    ("label", 'l', true),
                    ("uuid", 'u', true),
                ];
                let parsed = parse(known, 0, many)?;
                if !parsed.arguments.is_empty() {
                    return Err("booting from a disk in the network is not simulated".to_owned());
                }
                let drive = number(parsed.get("drive").unwrap_or("0"))?;
                Ok(Flow::Wait(Action::SanBoot(u32::try_from(drive).unwrap_or(0)), Pending::Plain))
            }
            "prompt" => {
                let parsed = parse(&[("key", 'k', true), ("timeout", 't', true), ("set", 's', true)], 0, many)?;
                Ok(match parsed.timeout()? {
                    Some(time) => Flow::Wait(Action::Sleep(time), Pending::Key),
                    None => Flow::Wait(Action::WaitForKey, Pending::Key),
                })
            }
            "shell" => Ok(Flow::Wait(Action::WaitForKey, Pending::Key)),
            "reboot" => {
                parse(&[("warm", 'w', false), ("setup", 's', false)], 0, 0)?;
                Ok(Flow::Wait(Action::Restart, Pending::Plain))
            }
            "poweroff" => {
                parse(&[], 0, 0)?;
                Ok(Flow::Wait(Action::PowerOff, Pending::Plain))
            }
            _ if NOT_SIMULATED.contains(&name.as_str()) => Err("iPXE has this command; it is not simulated".to_owned()),
            _ => Err("command not found".to_owned()),
        }
    }

    /// Goes on with the outcome of what a command waited for.
    pub(super) fn finish(&mut self, pending: Pending, answer: Answer) -> Flow {
        let ended = match (pending, answer) {
            (_, Answer::Failed(reason)) => Err(reason),
            (Pending::Key, _) => Err("Operation canceled".to_owned()),
            (Pending::Open(nics), Answer::Done) => {
                nics.iter().for_each(|nic| self.settings.opened(*nic));
                Ok(())
            }
            (Pending::Plain, _) => Ok(()),
            (Pending::Lease, Answer::Leased(Some(lease))) => {
                self.settings.lease(lease);
                Ok(())
            }
            (Pending::Lease, _) => Err("Configuration failed".to_owned()),
            (Pending::Open(_), _) => Err("Link down".to_owned()),
            (Pending::Image { url, options }, Answer::Fetched(Ok(data))) => {
                if self.images.len() >= MAX_IMAGES {
                    return Flow::Ended(Err("Not enough space".to_owned()));
                }
                let image = Image::new(&url, data, self.facts.platform);
                let name = image.name.clone();
                self.images.register(image);
                return self.with_image(&name, options).unwrap_or_else(|reason| Flow::Ended(Err(reason)));
            }
            (Pending::Image { url, .. }, Answer::Fetched(Err(error))) => {
                Err(format!("{}: {error}", without_query(&url)))
            }
            (Pending::Image { url, .. }, _) => Err(format!("{}: nothing was fetched", without_query(&url))),
        };
        Flow::Ended(ended)
    }

    /// The NICs of these names; without any, all.
    fn nics(&self, names: &[String]) -> Result<Vec<usize>, String> {
        if names.is_empty() {
            return Ok((0..self.facts.nics.len()).collect());
        }
        let nic = |name: &String| self.settings.nic(name).ok_or_else(|| format!("\"{name}\": no such interface"));
        names.iter().map(nic).collect()
    }

    fn goto(&mut self, label: &str) -> Result<Flow, String> {
        let frame = self.frames.last_mut().ok_or("Not in a script")?;
        let line = frame.script.label(label).ok_or_else(|| format!("No such label :{label}"))?;
        (frame.line, frame.words, frame.at) = (line, frame.script.words(line), 0);
        self.stop = Stop::Line;
        Ok(Flow::Ended(Ok(())))
    }

    /// A command of the `img…` family: gets an image and does something with it.
    fn image(&mut self, parsed: &Parsed, act: Act) -> Result<Flow, String> {
        let timeout = parsed.timeout()?;
        let arguments = parsed.arguments.get(1..).filter(|rest| !rest.is_empty()).map(|rest| rest.join(" "));
        let options = ImageOptions {
            act,
            name: parsed.get("name").map(str::to_owned),
            cmdline: arguments,
            autofree: parsed.get("autofree").is_some(),
            replace: parsed.get("replace").is_some(),
        };
        let Some(named) = parsed.arguments.first() else {
            let selected = self.images.selected().map(|image| image.name.clone()).ok_or("No image selected")?;
            return self.with_image(&selected, options);
        };
        // `imgfetch` always fetches; the others take an image of this name, if there is one.
        if act != Act::Fetch && self.images.find(named).is_some() {
            return self.with_image(named, options);
        }
        let base = self.frames.last().map_or("", |frame| frame.script.url.as_str());
        let url = resolve(base, named);
        Ok(Flow::Wait(Action::Fetch { url: url.clone(), timeout }, Pending::Image { url, options }))
    }

    fn with_image(&mut self, name: &str, options: ImageOptions) -> Result<Flow, String> {
        let ImageOptions { act, name: new_name, cmdline, autofree, replace } = options;
        let changed = self.images.change(name, |image| {
            if let Some(name) = new_name {
                image.name = name;
            }
            if cmdline.is_some() || act == Act::Arguments {
                image.cmdline = cmdline.map(Secret::new);
            }
            image.autofree |= autofree;
        });
        let image = changed.ok_or_else(|| format!("\"{name}\": no such image"))?;
        match act {
            Act::Fetch | Act::Arguments => Ok(Flow::Ended(Ok(()))),
            Act::Select if image.kind == Kind::Other => Err("Could not select: Exec format error".to_owned()),
            Act::Select => {
                self.images.select(&image.name);
                Ok(Flow::Ended(Ok(())))
            }
            Act::Execute if !replace => Ok(Flow::Execute(image)),
            Act::Execute if image.kind == Kind::Other => Err("Could not boot: Exec format error".to_owned()),
            Act::Execute => {
                let frame = self.frames.last_mut().ok_or("Could not boot: there is nothing to replace")?;
                frame.replacement = Some(image);
                self.stop = Stop::Script;
                Ok(Flow::Ended(Ok(())))
            }
        }
    }

    fn each_image(&mut self, names: &[String], mut work: impl FnMut(&mut Self, &str)) -> Result<(), String> {
        for name in names {
            self.images.find(name).ok_or_else(|| format!("\"{name}\": no such image"))?;
            work(self, name);
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<i64, String> {
    integer(text).ok_or_else(|| format!("\"{text}\": invalid integer value"))
}

/// A URL without what may be long or secret.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}
