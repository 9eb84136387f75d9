"""Path-traced product scenes for models/scenes, made with Blender as a Python module. See tools/render_scenes.py."""
