using System.Security.Cryptography;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Broadcast;

/// <summary>What a receiver writes to, all at once.</summary>
public sealed class Sinks
{
    const int MiB = 1024 * 1024;

    static string Ka => Path.Combine(AppContext.BaseDirectory, "ka");

    [Fact]
    public async Task A_file_with_holes_a_disk_and_a_program_get_the_same_bytes()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root for a loop device");
        await using var net = await NamespaceNet.CreateAsync(2, "1gbit");
        var image = new byte[(8 * MiB) + 1234]; // its end is no whole sector
        new Random(1).NextBytes(image.AsSpan(0, MiB));
        new Random(2).NextBytes(image.AsSpan(6 * MiB, 1000));
        image[^1] = 7;
        string At(string name) => Path.Combine(net.Directory, name);
        await File.WriteAllBytesAsync(At("image"), image);
        await File.WriteAllBytesAsync(At("backing"), new byte[16 * MiB]);
        await RealLab.MustAsync(Ka, ["bcast", "key", At("key")]);
        var loop = (await RealLab.MustAsync("losetup", ["--find", "--show", At("backing")])).Output.Trim();
        try
        {
            var from = NamespaceNet.Address(0) + ":7000";
            var sender = net.Start(0, Ka, "bcast", "send", At("image"), "--listen", from, "--key", At("key"), "--count", "1", "-q");
            var receiver = net.Start(1, Ka, "bcast", "recv", "--from", from, "--key", At("key"), "--to", At("file"), "--to", loop, "--", "sha256sum");
            var said = await receiver.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            var errors = await receiver.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await receiver.WaitForExitAsync(TestContext.Current.CancellationToken);
            await sender.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(receiver.ExitCode == 0 && sender.ExitCode == 0, errors);
            Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(image)), said);
            Assert.Equal(image, await File.ReadAllBytesAsync(At("file"), TestContext.Current.CancellationToken));
            Assert.Equal(image, (await File.ReadAllBytesAsync(At("backing")))[..image.Length]);
            Assert.InRange(512 * long.Parse((await RealLab.MustAsync("stat", ["-c", "%b", At("file")])).Output), MiB, 2 * MiB);
        }
        finally
        {
            await RealLab.RunAsync("losetup", ["--detach", loop]);
        }
    }
}
