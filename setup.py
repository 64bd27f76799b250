"""Puts params.yaml and recipes/ into the wheel as datspect/defaults/; all else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithDefaults(build_py):
    """Copies what a command reads where there is no project; a checkout reads its own files instead."""

    def run(self) -> None:
        """Build the package, then add the files of the repository's root."""
        built = Path(self.build_lib) / "datspect"
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(built, ignore_errors=True)  # an earlier build's, with modules that are gone
        super().run()
        (built / "defaults" / "recipes").mkdir(parents=True)
        shutil.copyfile("params.yaml", built / "defaults" / "params.yaml")
        for recipe in Path("recipes").glob("*.yaml"):
            shutil.copyfile(recipe, built / "defaults" / "recipes" / recipe.name)


setup(cmdclass={"build_py": WithDefaults})
