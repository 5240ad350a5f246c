using System.Security.Cryptography;
using Ka.SystemTests.Deployments;
using Ka.SystemTests.Lab;

namespace Ka.SystemTests.Broadcast;

/// <summary>The command line as it is shipped: machine code where its compiler can be had, else trimmed and compiled in advance with the framework.</summary>
[Trait("scope", "long")]
public sealed class Published
{
    [Theory]
    [InlineData("yes")]
    [InlineData("no")]
    public async Task The_published_command_line_is_one_file_and_carries_a_file_to_another_process(string native)
    {
        var directory = Directory.CreateTempSubdirectory("ka-published");
        try
        {
            await RealLab.MustAsync("env", [$"KA_AOT={native}", Path.Combine(RealLab.Repository(), "packaging", "publish.sh"), "Ka.Cli", directory.FullName]);
            Assert.Equal(["ka"], directory.EnumerateFiles().Select(f => f.Name));
            var (ka, image, key, copy) = (At("ka"), At("image"), At("key"), At("copy"));
            await File.WriteAllBytesAsync(image, RandomNumberGenerator.GetBytes(5_000_000), TestContext.Current.CancellationToken);
            await RealLab.MustAsync(ka, ["bcast", "key", key]);
            var place = $"127.0.0.1:{FreePorts.One()}";
            await Task.WhenAll(
                RealLab.MustAsync(ka, ["bcast", "recv", "--from", place, "--key", key, "--name", "one", "--to", copy]),
                RealLab.MustAsync(ka, ["bcast", "send", image, "--listen", place, "--key", key, "--count", "1"]));
            Assert.Equal(await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(copy, TestContext.Current.CancellationToken));
        }
        finally
        {
            directory.Delete(recursive: true);
        }

        string At(string name) => Path.Combine(directory.FullName, name);
    }
}
