//! `plan`: what a job would cost. Runs nothing.

use megagram_pipeline::{Plan, StoreSpeed};

use crate::cli::PlanArgs;
use crate::exit::Result;
use crate::output::{Stdout, columns};
use crate::spec::size;

/// Plans the job.
pub fn run(args: &PlanArgs, out: &mut Stdout) -> Result<()> {
    let processes = usize::from(args.processes);
    let loaded = super::load(&args.job, processes, false)?;
    let speed = StoreSpeed { latency: args.latency.map(|ms| ms / 1e3), bandwidth: args.bandwidth.map(|mb| mb * 1e6) };
    let plan = megagram_pipeline::plan(&loaded.job, processes, speed)?;
    out.show(&plan, text)
}

fn text(plan: &Plan) -> String {
    let (n, width, tile, tiles) = (plan.n, plan.width, plan.tile, plan.tiles);
    let mut text = format!("{n} training rows of {width} values, {tiles} tiles of side {tile}\n");
    text.push_str(&format!("memory {} a process\n", size::show(plan.memory)));
    let (gemm, kernel) = (plan.gemm_gflops, plan.kernel_gflops);
    text.push_str(&format!("{}: {gemm:.0} GF/s a worker; the kernel: {kernel:.2} nominal GF/s\n\n", plan.blas));
    let header = ["stage", "tiles", "read", "gets", "written", "puts", "GFlop", "buffers", "seconds", "busy"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for name in ["gram", "factor", "solve", "border"] {
        let Some(stage) = plan.stages.get(name) else { continue };
        let (forecast, traffic) = (&stage.forecast, &stage.forecast.traffic);
        rows.push(vec![
            name.to_owned(),
            forecast.tiles.to_string(),
            size::show(traffic.bytes_read),
            traffic.gets.to_string(),
            size::show(traffic.bytes_written),
            traffic.puts.to_string(),
            format!("{:.1}", forecast.flops / 1e9),
            size::show(stage.memory_bytes),
            format!("{:.1}", stage.seconds),
            format!("{:.0} %", 100.0 * stage.busy),
        ]);
    }
    text.push_str(&columns(&rows));
    text
}
