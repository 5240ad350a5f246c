global using Xunit;
global using Ka.Core.Environments;

// Two cores boot real machines here: one test at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
