"""The job of `bench_tracking`: trains when it is asked to, over a socket, and logs or not."""

import time
from multiprocessing.connection import Client

import hydra
import psutil
import torch

import repro_hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(0)
    width = 256
    model = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    beside = [child for child in psutil.Process().children() if "sender" in " ".join(child.cmdline())]

    def step(batch):
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()

    def tuned(step_ms):
        """So many rows make a step of that length."""
        rows = 64
        for _ in range(8):
            batch, times = torch.randn(rows, width), []
            for _ in range(12):
                begun = time.thread_time()
                step(batch)
                times.append(time.thread_time() - begun)
            rows = max(8, round(rows * min(max(step_ms / 1000 / sorted(times[2:])[5], 0.25), 4.0)))
        return rows

    def stretch(batch, steps, logged):
        wall, cpu = time.perf_counter(), time.thread_time()
        for _ in range(steps):
            step(batch)
            if logged:
                repro_hydra.log_metrics(logged)
        return time.perf_counter() - wall, time.thread_time() - cpu

    def turn(rows, steps, metrics, stretches):
        batch = torch.randn(rows, width)
        values = {f"metric_{i}": i / 7 for i in range(metrics)}
        step(batch)
        found, used, calls = [], 0.0, []
        for kind in stretches:
            for process in beside:
                process.resume() if kind == "logging" else process.suspend()
            before = sum(sum(process.cpu_times()[:2]) for process in beside)
            found.append(stretch(batch, steps, values if kind == "logging" else None))
            used += sum(sum(process.cpu_times()[:2]) for process in beside) - before
        for process in beside:
            process.resume()
        for _ in range(max(3, steps // 2)):
            step(batch)
            begun = time.perf_counter()
            repro_hydra.log_metrics(values)
            calls.append(time.perf_counter() - begun)
        for process in beside:
            process.suspend()
        return {"stretches": found, "beside_cpu_s": used, "calls": calls}

    with Client(cfg.control, "AF_UNIX") as line:
        line.send([process.pid for process in beside])
        work = {"tune": tuned, "turn": turn}
        while (asked := line.recv()) is not None:
            line.send(work[asked[0]](*asked[1:]))
    for process in beside:
        process.resume()


main()
