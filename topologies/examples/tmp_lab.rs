//! tmp
use harmony_topologies::lab::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let r = match args[1].as_str() {
        "up" => {
            let mut spec = LabSpec::new(&args[2]);
            if let Some(n) = args.get(3) {
                spec.machines = MachineSpec::usual(n.parse().unwrap());
            }
            let t = std::time::Instant::now();
            Lab::up(&spec, &|s| eprintln!("{s}")).map(|lab| {
                println!("{} {:?}", lab.folder().display(), t.elapsed());
            })
        }
        "status" => Lab::list(&default_parent()).map(|l| {
            for lab in l {
                println!("{:#?}", lab.status())
            }
        }),
        "run" => Lab::open(args[2].as_ref()).map(|l| {
            let s = l.command(&args[3]).args(&args[4..]).status();
            println!("{s:?}")
        }),
        _ => Lab::open(args[2].as_ref()).and_then(|l| l.down()),
    };
    if let Err(e) = r {
        println!("error: {e}");
        println!("hint: {:?}", e.hint());
        let mut s = std::error::Error::source(&e);
        while let Some(x) = s {
            println!("  because {x}");
            s = x.source();
        }
        std::process::exit(1)
    }
}
