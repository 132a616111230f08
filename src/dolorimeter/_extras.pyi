from typing import Any

import accelerate as accelerate
import ai_edge_litert as ai_edge_litert
import av as av
import bioread as bioread
import cv2 as cv2
import distributed as distributed
import fastapi as fastapi
import fhir as fhir
import h5py as h5py
import mne as mne
import onnx as onnx
import onnxruntime as onnxruntime
import openpyxl as openpyxl
import openvino as openvino
import pylsl as pylsl
import ray as ray
import safetensors as safetensors
import sqlalchemy as sqlalchemy
import torch as torch
import umap as umap
import uvicorn as uvicorn

from dolorimeter.errors import DependencyError

PACKAGES: dict[str, tuple[str, str]]

def missing(name: str, reason: Exception | None = None) -> DependencyError: ...
def load(name: str) -> Any: ...
