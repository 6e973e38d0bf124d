"""Static files under names that change with their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between ES modules, so that a deployment never mixes old modules with new ones.

    Every pass settles one level of imports. Django's five are too few for modules that import modules; a circle
    would still be found.
    """

    support_js_module_import_aggregation = True
    max_post_process_passes = 20
