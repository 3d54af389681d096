"""Scripts with a task, run under the audit: each fault beside a twin that does the same well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One script, and the kinds of serious findings that its lines marked ``# <-`` must give (and no others)."""

    name: str
    source: str
    kind: str | None = None


def case(name: str, kind: str | None, task: str, top: str = "") -> Case:
    """A script whose ``task(cfg)`` has these lines; `top` stands above it."""
    body = "".join(f"    {line}\n" for line in task.splitlines())
    return Case(name, f"{top}\n\ndef task(cfg):\n{body}", kind)


NP = "import numpy as np\n"
UNSEEDED = "unseeded-generator"
AGAIN = "seeded-again"
ENTROPY = "system-entropy"
VARIABLE = "undeclared-variable"

CASES = [
    case("default_rng", UNSEEDED, "return np.random.default_rng().random()  # <-", NP),
    case("default_rng-seeded", None, "return np.random.default_rng(cfg.seed).random()", NP),
    case("default_rng-none", UNSEEDED, "x = None\nreturn np.random.default_rng(x)  # <-", NP),
    case(
        "default_rng-from-import",
        UNSEEDED,
        "return default_rng()  # <-",
        "from numpy.random import default_rng",
    ),
    case("generator-pcg64", UNSEEDED, "return np.random.Generator(np.random.PCG64())  # <-", NP),
    case("generator-pcg64-seeded", None, "return np.random.Generator(np.random.PCG64(cfg.seed))", NP),
    case("random-state", UNSEEDED, "return np.random.RandomState()  # <-", NP),
    case("random-state-seeded", None, "return np.random.RandomState(cfg.seed)", NP),
    case("random-state-seeded-array", None, "return np.random.RandomState([cfg.seed, 2])", NP),
    case("random-state-seeded-later", None, "r = np.random.RandomState()\nr.seed(cfg.seed)\nreturn r", NP),
    case(
        "numpy-copies",
        None,
        "r = np.random.default_rng(cfg.seed)\np = copy.deepcopy(r)\nq = pickle.loads(pickle.dumps(r))\n"
        "s = pickle.loads(pickle.dumps(np.random.RandomState(cfg.seed)))\n"
        "return p, q, s, r.spawn(2), np.random.SeedSequence(cfg.seed).spawn(2)",
        NP + "import copy, pickle\n",
    ),
    case("random-Random", UNSEEDED, "return random.Random().random()  # <-", "import random"),
    case("random-Random-from-import", UNSEEDED, "return Random()  # <-", "from random import Random"),
    case("random-Random-seeded", None, "return random.Random(cfg.seed)", "import random"),
    case("random-Random-later", None, "r = random.Random()\nr.seed(cfg.seed)", "import random"),
    case(
        "random-Random-copies",
        None,
        "r = random.Random(cfg.seed)\nq = random.Random()\nq.setstate(r.getstate())\n"
        "return copy.copy(r), pickle.loads(pickle.dumps(r))",
        "import random, copy, pickle",
    ),
    case(
        "random-subclass-seeds-itself",
        None,
        "return Mine(cfg.seed)",
        "import random\nclass Mine(random.Random):\n    def __init__(self, seed):\n"
        "        super().__init__()\n        self.seed(seed)\n",
    ),
    case("system-random", ENTROPY, "return random.SystemRandom().random()  # <-", "import random"),
    case("os-urandom", ENTROPY, "return os.urandom(4)  # <-", "import os"),
    case("os-urandom-from-import", ENTROPY, "return urandom(4)  # <-", "from os import urandom"),
    case("os-getrandom", ENTROPY, "return os.getrandom(4)  # <-", "import os"),
    case("ssl-random", ENTROPY, "return ssl.RAND_bytes(4)  # <-", "import ssl"),
    case("uuid1", ENTROPY, "return uuid.uuid1().int  # <-", "import uuid"),
    case("uuid4", ENTROPY, "return uuid.uuid4().int  # <-", "import uuid"),
    case("secrets", ENTROPY, "return secrets.randbelow(9)  # <-", "import secrets"),
    case("secrets-token", ENTROPY, "return secrets.token_hex(4)  # <-", "import secrets"),
    case("uuid5", None, "return uuid.uuid5(uuid.NAMESPACE_DNS, str(cfg.seed))", "import uuid"),
    case(
        "tempfiles",
        None,
        "with tempfile.TemporaryDirectory() as d:\n    open(os.path.join(d, 'x'), 'w').close()\n"
        "tempfile.NamedTemporaryFile().close()",
        "import os, tempfile",
    ),
    case("random-seed-nothing", AGAIN, "random.seed()  # <-", "import random"),
    case("random-seed-nothing-from-import", AGAIN, "seed()  # <-", "from random import seed"),
    case("numpy-seed-nothing", AGAIN, "np.random.seed()  # <-", NP),
    case("numpy-seed-none", AGAIN, "np.random.seed(None)  # <-", NP),
    case("numpy-seed-constant", AGAIN, "np.random.seed(42)  # <-", NP),
    case("numpy-seed-from-import", AGAIN, "seed(42)  # <-", "from numpy.random import seed"),
    case("numpy-seed-constant-name", AGAIN, "np.random.seed(SEED)  # <-", NP + "SEED = 1234\n"),
    case("numpy-seed-own", None, "np.random.seed(cfg.seed)", NP),
    case("numpy-seed-epoch", None, "for epoch in range(3):\n    np.random.seed(cfg.seed + epoch)", NP),
    case(
        "numpy-seed-many-steps",
        AGAIN,
        "for step in range(1000):\n    again(cfg.seed + step)\nagain(7)\nfor step in range(1000):\n"
        "    np.random.seed(cfg.seed + step)",
        NP + "def again(seed):\n    np.random.seed(seed)  # <-\n",
    ),
    case("numpy-seed-local", None, "s = 1000 * cfg['seed']\nt = s + 1\nnp.random.seed(t)", NP),
    case(
        "seed-helper-derived",
        None,
        "set_all(cfg.seed * 7)",
        NP + "import random\ndef set_all(seed):\n    random.seed(seed)\n    np.random.seed(seed)\n",
    ),
    case(
        "seed-helper-constant",
        AGAIN,
        "set_all(42)",
        "import random\ndef set_all(seed):\n    random.seed(seed)  # <-\n",
    ),
    case(
        "seed-attribute-constant",
        AGAIN,
        "Trainer(Arguments()).train()",
        "import random\nclass Arguments:\n    def __init__(self, seed=42):\n        self.seed = seed\n"
        "class Trainer:\n    def __init__(self, args):\n        self.args = args\n    def train(self):\n"
        "        random.seed(self.args.seed)  # <-\n",
    ),
    case(
        "seed-attribute-derived",
        None,
        "Trainer(cfg.seed).train()",
        "import random\nclass Trainer:\n    def __init__(self, seed):\n        self.seed = seed + 100\n"
        "    def train(self):\n        random.seed(self.seed)\n",
    ),
    case("seed-from-stream", None, "np.random.seed(np.random.default_rng(cfg.seed).integers(9))", NP),
    case("seed-from-drawn", None, "random.seed(random.random())", "import random"),
    case("seed-list", None, "for s in [cfg.seed + i for i in range(3)]:\n    np.random.seed(s)", NP),
    case("seed-time", AGAIN, "random.seed(time.time())  # <-", "import random, time"),
    case(
        "seed-time-int", AGAIN, "now = int(time.time())\nnp.random.seed(now % 1000)  # <-", NP + "import time"
    ),
    case("seed-pid", AGAIN, "np.random.seed(os.getpid())  # <-", NP + "import os"),
    case("clock-logged", None, "return time.time(), datetime.datetime.now()", "import time, datetime"),
    case(
        "library-frames",
        None,
        "import importlib.util, sys\nimport sklearn.utils\n"
        "return sklearn.utils.check_random_state(None).rand(), sklearn.utils.check_random_state(3)",
    ),
]

CASES += [
    case("variable", VARIABLE, "return float(os.environ['FAULT_SCALE'])  # <-", "import os"),
    case("variable-get", VARIABLE, "return os.environ.get('FAULT_SCALE', 1)  # <-", "import os"),
    case("variable-getenv", VARIABLE, "return os.getenv('FAULT_SCALE')  # <-", "import os"),
    case("variable-from-import", VARIABLE, "return getenv('FAULT_SCALE')  # <-", "from os import getenv"),
    case("variable-in", VARIABLE, "return 'FAULT_SCALE' in os.environ  # <-", "import os"),
    case("variable-bytes", VARIABLE, "return os.environb[b'FAULT_SCALE']  # <-", "import os"),
    case("variable-expanded", VARIABLE, "return os.path.expandvars('$FAULT_SCALE')  # <-", "import os"),
    case(
        "variable-recorded", None, "return os.environ['PATH'], os.environ.get('NOBODY_SETS_IT')", "import os"
    ),
    case(
        "variable-copied",
        None,
        "a = dict(os.environ)\nb = os.environ.copy()\nc = {**os.environ, 'X': '1'}\n"
        "d = {k: v for k, v in os.environ.items()}\nsubprocess.run(['true'], env=d)",
        "import os, subprocess",
    ),
]

# Both workers draw: each takes one task, and waits there for the other.
POOL = (
    "import multiprocessing as mp\nimport random\nfrom concurrent.futures import ProcessPoolExecutor\n"
    "import numpy as np\nFORK = mp.get_context('fork')\nBOTH = FORK.Barrier(2)\n"
    "def numpy(i):\n    BOTH.wait(60)\n    return np.random.rand()\n"
    "def python(i):\n    BOTH.wait(60)\n    return random.random()\n"
    "def own(i):\n    BOTH.wait(60)\n    np.random.seed([3, i])\n    random.seed(i)\n"
    "    return np.random.rand() + random.random() + np.random.default_rng([3, i]).random()\n"
)
CASES += [
    case(
        f"{pool}-{what}",
        kind,
        f"with {made} as pool:  # <-\n    return list(pool.map({what}, range(2)))" if kind and pool == "pool"
        else f"with {made} as pool:\n    return list(pool.map({what}, range(2))){'  # <-' if kind else ''}",
        POOL,
    )
    for pool, made in (("pool", "FORK.Pool(2)"), ("executor", "ProcessPoolExecutor(2, mp_context=FORK)"))
    for what, kind in (("numpy", "copied-generator"), ("python", "drawn-in-pool"), ("own", None))
]  # fmt: skip

TORCH = "import torch\n"
TORCH_CASES = [
    case("torch-generator", UNSEEDED, "return torch.Generator()  # <-", TORCH),
    case("torch-generator-from-import", UNSEEDED, "return Generator()  # <-", "from torch import Generator"),
    case("torch-generator-seeded", None, "return torch.Generator().manual_seed(cfg.seed)", TORCH),
    case(
        "torch-generator-later", None, "g = torch.Generator('cpu')\ng.manual_seed(cfg.seed)\nreturn g", TORCH
    ),
    case(
        "torch-generator-state",
        None,
        "g = torch.Generator()\ng.set_state(torch.get_rng_state())\nreturn isinstance(g, torch.Generator)",
        TORCH,
    ),
    case("torch-seed", AGAIN, "torch.seed()  # <-", TORCH),
    case("torch-constant", AGAIN, "torch.manual_seed(42)  # <-", TORCH),
    case("torch-constant-from-import", AGAIN, "manual_seed(42)  # <-", "from torch import manual_seed"),
    case("torch-constant-helper", AGAIN, "torch.random.manual_seed(42)  # <-", TORCH),
    case("torch-own", None, "torch.manual_seed(cfg.seed)", TORCH),
    case("torch-epoch", None, "for e in range(2):\n    torch.manual_seed(cfg.seed + e)", TORCH),
    case(
        "torch-loaders",
        None,
        "data = torch.utils.data.TensorDataset(torch.arange(8.0))\n"
        "first, _ = torch.utils.data.random_split(data, [4, 4])\n"
        "for workers in (0, 2):\n    for _ in torch.utils.data.DataLoader(first, 2, True, num_workers=workers):\n"
        "        pass\nwith torch.random.fork_rng():\n    torch.rand(1)",
        TORCH,
    ),
]

LOADER = "import numpy as np\nimport torch\nfrom torch.utils.data import DataLoader, Dataset\n"
OWN_GENERATOR = """class Data(Dataset):
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)MARK
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return DRAW
"""
COPIED = "copied-generator"
OTHER_GENERATORS = [
    ("python-generator", "__import__('random').Random(seed)", "self.rng.random()"),
    ("random-state", "np.random.RandomState(seed)", "self.rng.rand(700)"),  # past one round of its state
    ("torch-generator", "torch.Generator().manual_seed(seed)", "torch.rand(1, generator=self.rng)"),
    ("philox", "np.random.Generator(np.random.Philox(seed))", "self.rng.random()"),
]
TORCH_CASES += [
    case(
        "workers-dataset-generator",
        COPIED,
        "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2)]",
        LOADER + OWN_GENERATOR.replace("MARK", "  # <-").replace("DRAW", "self.rng.random()"),
    ),
    case(
        "workers-module-generator",
        COPIED,
        "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2)]",
        LOADER
        + "RNG = np.random.default_rng(3)  # <-\n"
        + OWN_GENERATOR.replace("MARK", "").replace("DRAW", "RNG.random()"),
    ),
    case(
        "workers-generator-in-a-subset",
        COPIED,
        "part = torch.utils.data.Subset(Data(cfg.seed), range(8))\n"
        "return [x for x in DataLoader(part, 2, num_workers=2)]",
        LOADER + OWN_GENERATOR.replace("MARK", "  # <-").replace("DRAW", "self.rng.random()"),
    ),
    case(
        "workers-generator-not-drawn",
        None,
        "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2)]",
        LOADER + OWN_GENERATOR.replace("MARK", "").replace("DRAW", "torch.rand(1) + np.random.rand()"),
    ),
    case(
        "workers-generator-of-their-own",
        None,
        "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2, worker_init_fn=fresh)]",
        LOADER
        + OWN_GENERATOR.replace("MARK", "").replace("DRAW", "self.rng.random()")
        + "def fresh(number):\n"
        "    data = torch.utils.data.get_worker_info().dataset\n"
        "    data.rng = np.random.default_rng([torch.initial_seed(), number])\n",
    ),
    *(
        case(
            f"workers-{name}",
            COPIED,
            "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2)]",
            LOADER
            + OWN_GENERATOR.replace("np.random.default_rng(seed)", made)
            .replace("MARK", "  # <-")
            .replace("DRAW", draw),
        )
        for name, made, draw in OTHER_GENERATORS
    ),
    *(
        case(
            f"workers-{name}-of-their-own",
            None,
            "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=2, worker_init_fn=fresh)]",
            LOADER
            + OWN_GENERATOR.replace("np.random.default_rng(seed)", made)
            .replace("MARK", "")
            .replace("DRAW", draw)
            + "def fresh(number):\n    data = torch.utils.data.get_worker_info().dataset\n"
            "    data.__init__(1000 + number)\n",
        )
        for name, made, draw in OTHER_GENERATORS
    ),
    case(
        "one-worker",
        None,
        "return [x for x in DataLoader(Data(cfg.seed), 2, num_workers=1)]",
        LOADER + OWN_GENERATOR.replace("MARK", "").replace("DRAW", "self.rng.random()"),
    ),
]
GYM = "import gymnasium\n"
GYM_CASES = [
    case(
        "gym-reset",
        UNSEEDED,
        "env = gymnasium.make('CartPole-v1')\nreturn env.reset()  # <-",
        GYM,
    ),
    case(
        "gym-action-space",
        UNSEEDED,
        "env = gymnasium.make('CartPole-v1')\nenv.reset(seed=cfg.seed)\n"
        "for _ in range(3):\n    env.step(env.action_space.sample())  # <-",
        GYM,
    ),
    case(
        "gym-vector",
        UNSEEDED,
        "envs = gymnasium.make_vec('CartPole-v1', num_envs=2, vectorization_mode='sync')\nreturn envs.reset()  # <-",
        GYM,
    ),
    case(
        "gym-async",
        UNSEEDED,
        "envs = gymnasium.make_vec('CartPole-v1', num_envs=2, vectorization_mode='async')\n"
        "envs.reset()  # <-\nenvs.close()",
        GYM,
    ),
    case(
        "gym-seeded",
        None,
        "env = gymnasium.make('CartPole-v1')\nenv.action_space.seed(cfg.seed)\nenv.reset(seed=cfg.seed)\n"
        "for _ in range(60):\n    if any(env.step(env.action_space.sample())[2:4]):\n        env.reset()\n"
        "envs = gymnasium.make_vec('CartPole-v1', num_envs=2, vectorization_mode='sync')\n"
        "envs.action_space.seed(cfg.seed)\nenvs.reset(seed=cfg.seed)\nenvs.step(envs.action_space.sample())\n"
        "envs.reset()",
        GYM,
    ),
]

JAX = "import jax\n"
JAX_CASES = [
    case("jax-clock", UNSEEDED, "return jax.random.key(int(time.time()))  # <-", JAX + "import time"),
    case(
        "jax-clock-legacy-in-a-helper",
        UNSEEDED,
        "return begin(time.time_ns() % 1000)",
        JAX + "import time\ndef begin(seed):\n    return jax.random.PRNGKey(seed)  # <-\n",
    ),
    case(
        "jax-clock-from-import",
        UNSEEDED,
        "return key(os.getpid())  # <-",
        "import os\nfrom jax.random import key",
    ),
    case(
        "jax-own",
        None,
        "key = jax.random.key(cfg.seed)\nfor _ in range(3):\n    key, sub = jax.random.split(key)\n"
        "    jax.random.normal(sub, (2,))\nother = jax.random.PRNGKey(cfg.seed + 1)\n"
        "return jax.jit(lambda seed: jax.random.normal(jax.random.key(seed)))(cfg.seed)",
        JAX,
    ),
    case("jax-constant", None, "return [jax.random.key(0) for _ in range(3)]", JAX),
]
TENSORFLOW = "import tensorflow as tf\n"
TENSORFLOW_CASES = [
    case("tf-constant", AGAIN, "tf.random.set_seed(42)  # <-", TENSORFLOW),
    case("tf-constant-v1", AGAIN, "tf.compat.v1.set_random_seed(42)  # <-", TENSORFLOW),
    case("tf-clock", AGAIN, "tf.random.set_seed(int(time.time()))  # <-", TENSORFLOW + "import time"),
    case("tf-own", None, "tf.random.set_seed(cfg.seed)", TENSORFLOW),
]
TENSORFLOW_STAND_IN = {
    "tensorflow/__init__.py": "from tensorflow import compat, random\n",
    "tensorflow/random.py": "from tensorflow.python.framework.random_seed import set_seed\n",
    "tensorflow/compat/__init__.py": "from tensorflow.compat import v1\n",
    "tensorflow/compat/v1.py": "def __getattr__(name):\n"
    "    from tensorflow.python.framework import random_seed\n    return getattr(random_seed, name)\n",
    "tensorflow/python/__init__.py": "",
    "tensorflow/python/framework/__init__.py": "",
    "tensorflow/python/framework/random_seed.py": "GIVEN = []\n\n\ndef set_random_seed(seed):\n"
    "    GIVEN.append(seed)\n\n\ndef set_seed(seed):\n    set_random_seed(seed)\n",
}
"""TensorFlow's modules of that name, as its source has them; it is too large to be installed for the tests."""

TOP_CASES = [
    Case("top-default-rng", NP + "rng = np.random.default_rng()  # <-\ndef task(cfg):\n    pass\n", UNSEEDED),
    Case("top-default-rng-seeded", NP + "rng = np.random.default_rng(7)\ndef task(cfg):\n    pass\n"),
    Case("top-Random", "import random\nr = random.Random()  # <-\ndef task(cfg):\n    pass\n", UNSEEDED),
    Case("top-uuid", "import uuid\nRUN = uuid.uuid4().hex  # <-\ndef task(cfg):\n    pass\n", ENTROPY),
    Case(
        "top-variables",
        "import os\nfrom os import environ\nSCALE = float(os.getenv('FAULT_SCALE', '1'))  # <-\n"
        "def task(cfg, a=os.environ['FAULT_SCALE']):  # <-\n    os.environ.get('PATH')\n"
        "class A:\n    try:\n        b = environ.get('FAULT_SCALE')  # <-\n    except KeyError:\n        pass\n"
        "if environ.get('NOBODY_SETS_IT'):\n    c = environ['FAULT_SCALE']\n"
        "d = lambda: environ['FAULT_SCALE']\n",
        VARIABLE,
    ),
    Case(
        "top-drawn-numpy",
        NP + "x = np.random.rand(3)  # <-\ndef task(cfg):\n    pass\n",
        "drawn-before-seeding",
    ),
    Case(
        "top-drawn-numpy-seeded",
        NP + "np.random.seed(3)\nx = np.random.rand(3)\ndef task(cfg):\n    pass\n",
    ),
    Case(
        "top-drawn-python",
        "import random\nx = random.random()  # <-\ndef task(cfg):\n    pass\n",
        "drawn-before-seeding",
    ),
    Case(
        "top-drawn-python-seeded",
        "import random\nrandom.seed(1)\nx = random.random()\ndef task(cfg):\n    pass\n",
    ),
    Case(
        "top-drawn-torch",
        TORCH + "x = torch.randn(3)  # <-\ndef task(cfg):\n    pass\n",
        "drawn-before-seeding",
    ),
    Case(
        "top-drawn-torch-seeded",
        TORCH + "torch.manual_seed(1)\nx = torch.randn(3)\ndef task(cfg):\n    pass\n",
    ),
    Case("top-lambda", NP + "make = lambda: np.random.default_rng()\ndef task(cfg):\n    pass\n"),
]
