"""Build operator graphs of measured networks outside the catalogue, from timm, torchvision and transformers."""
