"""Compiles the kernels of omni.runtime while a wheel is built; without a compiler the rest is installed."""

import importlib.util
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent


class BuildKernels(build_ext):
    """A plain shared library, loaded by ctypes: it needs neither Python's headers nor a name of setuptools'."""

    def build_extension(self, ext: Extension) -> None:
        # By its path: the package itself needs numpy, which is not there while a wheel is built.
        spec = importlib.util.spec_from_file_location("_omni_build", HERE / "omni" / "runtime" / "build.py")
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        in_place = self.inplace or getattr(self, "editable_mode", False)
        try:
            build.compile_library(None if in_place else Path(self.build_lib).resolve() / "omni" / "runtime")
        except RuntimeError as error:
            print(f"warning: omni.runtime is installed without compiled kernels: {error}", file=sys.stderr)

    def copy_extensions_to_source(self) -> None:
        """Nothing to copy: `build_extension` wrote where it belongs."""

    def get_outputs(self) -> list:
        return [str(path) for path in Path(self.build_lib).glob("omni/runtime/_kernels-*.so")]

    def get_output_mapping(self) -> dict:
        return {}


setup(ext_modules=[Extension("omni.runtime._kernels", [])], cmdclass={"build_ext": BuildKernels})
