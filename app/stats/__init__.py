"""Pure statistics: numpy and scipy in, frozen results out. Knows nothing of the rest of the product.

`tally` counts rows into mergeable integers and reads them back; `metrics` is the one table of metrics; `intervals`
holds the intervals they use; `delays` says how far a bucket's labels have come.
"""
