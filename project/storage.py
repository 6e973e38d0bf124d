"""Static files under names that change with their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between ES modules, so that a deployment never mixes old modules with new ones."""

    support_js_module_import_aggregation = True
