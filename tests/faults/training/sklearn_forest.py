"""A random forest with cross validation: scikit-learn."""

import json
import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=cfg.seed)
    model = RandomForestClassifier(20, random_state=cfg.seed)
    scores = cross_val_score(model, x, y, cv=folds)
    log.info("scores %s", scores)
    out = Path(HydraConfig.get().runtime.output_dir, "scores.json")
    out.write_text(json.dumps(scores.tolist()))
    return {"accuracy": float(scores.mean())}


if __name__ == "__main__":
    main()
