using Ka.Cli;

namespace Ka.Tests.Cli;

/// <summary><c>ka bcast</c>: what is asked for wrongly is refused before anything is opened or made.</summary>
public sealed class SendingWithoutAServer : IDisposable
{
    readonly string _directory = Directory.CreateTempSubdirectory("ka-bcast-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("--ring lots", "--ring is 'lots', expected a size from 4MiB to 1GiB")]
    [InlineData("--ring 1MiB", "--ring is '1MiB', expected a size from 4MiB to 1GiB")]
    [InlineData("--ring 2GiB", "--ring is '2GiB', expected a size from 4MiB to 1GiB")]
    [InlineData("--listen nowhere", "--listen is 'nowhere', expected an address")]
    public async Task A_receiver_says_what_it_cannot_take(string words, string said)
    {
        var (key, file) = (Path.Combine(_directory, "key"), Path.Combine(_directory, "file"));
        Assert.Equal(ExitCodes.Done, (await InProcess.RunAsync("bcast", "key", key)).Status);
        var told = await InProcess.RunAsync(["bcast", "recv", "--from", "127.0.0.1:1", "--key", key, "--to", file, .. words.Split(' ')]);
        Assert.Equal(ExitCodes.Usage, told.Status);
        Assert.Contains(said, told.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(file), "nothing was made");
    }
}
