from django.contrib.postgres.operations import HStoreExtension
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("library", "0001_initial")]

    operations = [
        HStoreExtension(),
        migrations.RunSQL("CREATE TABLE after_the_extension (tags hstore)", "DROP TABLE after_the_extension"),
    ]
