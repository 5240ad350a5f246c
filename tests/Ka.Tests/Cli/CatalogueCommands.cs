using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Tests.Server;

namespace Ka.Tests.Cli;

/// <summary><c>ka env set|diff|export|gc</c> against a whole server.</summary>
public sealed class CatalogueCommands(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    Task<int> EnvAsync(params string[] words) =>
        CommandTree.Build().Parse(["--server", "unix:" + server.PathOf("kad.sock"), "--token-file", server.PathOf("state/token"), "env", .. words]).InvokeAsync(cancellationToken: Cancel);

    string Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(server.PathOf(name))!);
        File.WriteAllText(server.PathOf(name), text);
        return server.PathOf(name);
    }

    [Fact]
    public async Task What_was_exported_is_applied_again_without_a_change()
    {
        Write("in/post.sh", "#!/bin/sh\n");
        await File.WriteAllBytesAsync(server.PathOf("in/image.tar"), RunningServer.Image(), Cancel);
        var described = Write("in/e.yaml", "name: travelling\nimage: { file: image.tar }\nboot: { kernel: /boot/vmlinuz }\npostinstalls: [{ script: post.sh }]\n");
        Assert.Equal(ExitCodes.Done, await EnvAsync("apply", "-f", described));
        Assert.Equal(ExitCodes.Done, await EnvAsync("set", "travelling", "--visibility", "shared", "--destructive", "true", "--alias", "on-the-road", "--label", "a=b"));
        Assert.Equal(ExitCodes.Done, await EnvAsync("diff", "-f", described));
        Assert.Equal(ExitCodes.Done, await EnvAsync("export", "on-the-road", "--out", server.PathOf("out")));
        Assert.Equal(["environment.yaml", "image.tar", "postinstall-1.script"], Directory.GetFiles(server.PathOf("out")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.Equal(RunningServer.Image(), await File.ReadAllBytesAsync(server.PathOf("out/image.tar"), Cancel));
        Assert.Equal(ExitCodes.Done, await EnvAsync("diff", "travelling", "-f", server.PathOf("out/environment.yaml")));
        Assert.Equal(ExitCodes.Done, await EnvAsync("diff", "travelling:1", "on-the-road"));
        Assert.Equal(ExitCodes.Done, await EnvAsync("apply", "-f", server.PathOf("out/environment.yaml")));
        Assert.Equal(ExitCodes.Usage, await EnvAsync("export", "travelling", "--out", server.PathOf("out")));
    }

    [Theory]
    [InlineData("set debian12", ExitCodes.Usage)]
    [InlineData("set debian12 --label novalue", ExitCodes.Usage)]
    [InlineData("set nothing --alias x", ExitCodes.BadData)]
    [InlineData("diff debian12", ExitCodes.Usage)]
    [InlineData("diff debian12 nothing", ExitCodes.BadData)]
    [InlineData("export nothing --out /nowhere/out", ExitCodes.BadData)]
    [InlineData("gc --older-than soon", ExitCodes.Usage)]
    [InlineData("gc --older-than 1s", ExitCodes.BadData)]
    [InlineData("gc --dry-run", ExitCodes.Done)]
    [InlineData("ls --label nobody=has", ExitCodes.Done)]
    public async Task Every_end_has_its_status(string words, int status) => Assert.Equal(status, await EnvAsync(words.Split(' ')));
}
